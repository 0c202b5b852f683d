/* SPDX-License-Identifier: MIT */
/*
 * Purpose: each exception of user mode has its vector, error code and RIP.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define FAULT 0 /* RIP at the instruction */
#define TRAP 1 /* RIP behind it */
#define EITHER 2 /* behind it on a CPU, at it under some hypervisors below the host */

struct one {
	const char *name, *code, *at, *end;
	unsigned vector, error, kind;
};

/* Code that leads up to it, and the instruction itself. */
#define CASE(name, setup, insn)                                                                    \
	extern const char name##_at[];                                                             \
	BLOB(name, setup "\n" #name "_at:\n" insn)
#define ROW(name, vector, error, kind)                                                             \
	{                                                                                          \
#name, name, name##_at, name##_end, vector, error, kind                            \
	}

#define FAR "movabs $0x8000000000000000, %rax"

CASE(breakpoint, "", "int3");
CASE(breakpoint2, "nop", ".byte 0xcd, 3");
CASE(icebp, "nop", ".byte 0xf1");
CASE(overflow, "nop", ".byte 0xcd, 4");
CASE(int29, "nop", "int $0x29");
CASE(int80, "mov $20, %eax", "int $0x80");
CASE(intff, "", "int $0xff");
CASE(undefined, "nop", "ud2");
CASE(push_es, "", ".byte 0x06");
CASE(lock_nop, "", ".byte 0xf0, 0x90");
CASE(divide, "xor %edx, %edx\nxor %ecx, %ecx", "div %ecx");
CASE(quotient, "mov $1, %edx\nmov $1, %ecx", "div %ecx");
CASE(simd,
	"movl $0x1d00, -8(%rsp)\nldmxcsr -8(%rsp)\nxorps %xmm0, %xmm0\n"
	"mov $0x3f800000, %eax\nmovd %eax, %xmm1",
	"divss %xmm0, %xmm1");
CASE(x87, "fninit\nmovw $0x37b, -8(%rsp)\nfldcw -8(%rsp)\nfld1\nfldz\nfdivrp", "fwait");
CASE(hlt, "", "hlt");
CASE(cli, "", "cli");
CASE(read_cr3, "", "mov %cr3, %rax");
CASE(write_cr0, "", "mov %rax, %cr0");
CASE(rdmsr, "mov $0x10, %ecx", "rdmsr");
CASE(in_port, "mov $0x80, %edx", "in %dx, %al");
CASE(lgdt, "", "lgdt -16(%rsp)");
CASE(invlpg, "", "invlpg (%rsp)");
CASE(swapgs, "", "swapgs");
CASE(sysretq, "", "sysretq");
CASE(far_load, FAR, "mov (%rax), %rax");
CASE(far_store, FAR, "mov %rax, (%rax)");
CASE(far_push, FAR "\nmov %rax, %rsp", "push %rax");
CASE(bad_selector, "mov $0x63, %eax", "mov %eax, %ds");
CASE(movaps, "", "movaps 1(%rsp), %xmm0");
CASE(unaligned, "pushfq\norl $0x40000, (%rsp)\npopfq", "mov 1(%rsp), %eax");

static const struct one list[] = {
	ROW(breakpoint, LUCID_VEC_BP, 0, TRAP),
	ROW(breakpoint2, LUCID_VEC_BP, 0, TRAP),
	ROW(icebp, LUCID_VEC_DB, 0, EITHER),
	ROW(overflow, LUCID_VEC_OF, 0, TRAP),
	ROW(int29, LUCID_VEC_GP, 0x29 * 8 + 2, FAULT),
	ROW(int80, LUCID_VEC_GP, 0x80 * 8 + 2, FAULT),
	ROW(intff, LUCID_VEC_GP, 0xff * 8 + 2, FAULT),
	ROW(undefined, LUCID_VEC_UD, 0, FAULT),
	ROW(push_es, LUCID_VEC_UD, 0, FAULT),
	ROW(lock_nop, LUCID_VEC_UD, 0, FAULT),
	ROW(divide, LUCID_VEC_DE, 0, FAULT),
	ROW(quotient, LUCID_VEC_DE, 0, FAULT),
	ROW(simd, LUCID_VEC_XM, 0, FAULT),
	ROW(x87, LUCID_VEC_MF, 0, FAULT),
	ROW(hlt, LUCID_VEC_GP, 0, FAULT),
	ROW(cli, LUCID_VEC_GP, 0, FAULT),
	ROW(read_cr3, LUCID_VEC_GP, 0, FAULT),
	ROW(write_cr0, LUCID_VEC_GP, 0, FAULT),
	ROW(rdmsr, LUCID_VEC_GP, 0, FAULT),
	ROW(in_port, LUCID_VEC_GP, 0, FAULT),
	ROW(lgdt, LUCID_VEC_GP, 0, FAULT),
	ROW(invlpg, LUCID_VEC_GP, 0, FAULT),
	ROW(swapgs, LUCID_VEC_GP, 0, FAULT),
	ROW(sysretq, LUCID_VEC_GP, 0, FAULT),
	ROW(far_load, LUCID_VEC_GP, 0, FAULT),
	ROW(far_store, LUCID_VEC_GP, 0, FAULT),
	ROW(far_push, LUCID_VEC_SS, 0, FAULT),
	ROW(bad_selector, LUCID_VEC_GP, 0x60, FAULT),
	ROW(movaps, LUCID_VEC_GP, 0, FAULT),
	ROW(unaligned, LUCID_VEC_AC, 0, FAULT),
};

void test_main(void)
{
	unsigned i;

	user_space(breakpoint, 1, 0);
	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		const struct one *o = &list[i];
		unsigned seen = trapped.count;
		uint64_t at = USER_CODE + (uint64_t)((o->kind == TRAP ? o->end : o->at) - o->code);

		vcpu->dr6 = 0;
		user_try(o->code, (size_t)(o->end - o->code));
		check_trap(__FILE__, __LINE__, o->name, seen, o->vector, o->error);
		if (o->kind != EITHER && trapped.frame.rip != at)
			failure("%s: rip %x, not %x", o->name, trapped.frame.rip, at);
		check_eq(trapped.frame.cs, LUCID_USER_CS);
		check_eq(trapped.frame.ss, LUCID_USER_SS);
		check(trapped.frame.rflags & 0x200);
		check_eq(trapped.frame.orig, ~0ul);
		/* Single step alone sets DR6.BS. */
		check(!(trapped.dr6 & 0x4000));
	}
}
