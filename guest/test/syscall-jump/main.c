/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a program that jumps to LUCID_HC_USER_SYSCALL has made a system call: the frame is as if
 * by the instruction, flags of its own do not reach the kernel, and both ways back restore all.
 * A jump with a wild return address, or without the kernel's keys, is the program's own trouble.
 * Where user mode has spaces of its own the jump leads back to the instruction.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define FLAGS 0x8d5ul /* OF, SF, ZF, AF, PF, CF */
#define DF 0x400ul
#define NT 0x4000ul
#define AC 0x40000ul
#define TF 0x100ul
#define WILD 0x8000000000001234ul

BLOB(jump, JUMP_CALL("", 0x1234, rdi) "int3");
BLOB(jump_keys, JUMP_CALL(JUMP_KEYS, 0x1234, rdi) "int3");
BLOB(wild, "jmp *%rdi");
BLOB(wild_keys, JUMP_KEYS "mov $1, %eax\nmov %r8, %rcx\njmp *%rdi");
BLOB(no_keys, "mov %rdx, %r11\nmov $0x1234, %eax\nlea 1f(%rip), %rcx\njmp *%rdi\nsyscall\n1: int3");

static bool keys, split, back, by_jump;
static unsigned calls;

static bool look(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	if (vector != LUCID_VEC_SYSCALL)
		return false;
	if (trap_flags & (DF | NT | AC | TF))
		failure("the kernel began with flags %x", trap_flags);
	calls++;
	by_jump = error;
	if (back)
		frame->rflags ^= 1; /* not as it came: by the long way */
	return true;
}

static void one(uint64_t flags)
{
	const struct lucid_frame regs = {
		.r15 = 15,
		.r14 = 14,
		.r13 = 13,
		.r12 = 12,
		.rbp = 0xb9,
		.rbx = 0xb8,
		.r10 = 10,
		.r9 = 9,
		.r8 = 8,
		.rdx = 0xd,
		.rsi = 0x8000000000000001,
		.rdi = info->hypercall[LUCID_HC_USER_SYSCALL],
		.rsp = USER_STACK - 8,
		.rflags = flags,
	};
	struct lucid_frame f;
	uint64_t gs, before = vcpu->count_syscall;

	calls = 0;
	vcpu->user_gs = 0x1234000;
	vcpu->kernel_gs = 0x5678000;
	if (keys)
		user_code(jump_keys, BLOB_SIZE(jump_keys));
	else
		user_code(jump, BLOB_SIZE(jump));
	user_run(&regs);
	gs = __builtin_ia32_rdgsbase64();
	check_eq(calls, 1);
	check_eq(vcpu->count_syscall, before + 1);
	check_eq(trapped.vector, LUCID_VEC_BP);
	f = *(struct lucid_frame *)&trapped.frame;
	user_check_call(&f, &regs);
	check_eq(f.rax, 0x1234);
	check_eq(f.rip, f.rcx + 1);
	check_eq(f.rflags & 0xfffff, (flags | 0x202) ^ (back ? 1 : 0));
	check_eq(f.r11 & 0xfffff, flags | 0x202);
	check_eq(gs, 0x5678000);
	check_eq(vcpu->user_gs, 0x1234000);
	check_eq(vcpu->mode, LUCID_MODE_KERNEL);
}

/* Where it would return to is no address: it never left user mode by more than a jump. */
static void wild_return(void)
{
	const struct lucid_frame regs = {
		.rax = 1, .rcx = WILD, .r8 = WILD, .rdi = info->hypercall[LUCID_HC_USER_SYSCALL]};

	calls = 0;
	back = true;
	if (keys)
		user_code(wild_keys, BLOB_SIZE(wild_keys));
	else
		user_code(wild, BLOB_SIZE(wild));
	user_run(&regs);
	check_eq(calls, !split);
	check_eq(trapped.vector, LUCID_VEC_GP);
	check_eq(trapped.frame.rip, split ? WILD - 2 : WILD);
	back = false;
}

/* Without the kernel's keys it cannot be the kernel: the instruction does it. */
static void without_keys(void)
{
	const struct lucid_frame regs = {.rdx = 0xd, .rdi = info->hypercall[LUCID_HC_USER_SYSCALL]};

	calls = 0;
	user_code(no_keys, BLOB_SIZE(no_keys));
	user_run(&regs);
	check_eq(calls, 1);
	check_eq(by_jump, !keys && !split);
	check_eq(trapped.vector, LUCID_VEC_BP);
	check_eq(trapped.frame.rdx, 0xd);
}

void test_main(void)
{
	static const uint64_t flags[] = {0, FLAGS, DF, NT, AC, DF | NT | AC | FLAGS};
	unsigned i, k;

	keys = info->features & LUCID_FEATURE_PKU;
	split = info->features & LUCID_FEATURE_SPLIT;
	user_space(jump, BLOB_SIZE(jump), 0);
	trap_hook = look;
	for (i = 0; i < 100; i++)
		for (k = 0; k < sizeof(flags) / sizeof(flags[0]); k++) {
			back = i & 1;
			one(flags[k]);
		}
	back = false;
	wild_return();
	without_keys();
}
