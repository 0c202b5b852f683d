/* SPDX-License-Identifier: MIT */
/*
 * Purpose: each exception of kernel mode has its vector, error code and RIP, and the kernel
 * goes on behind it.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define FAR 0x8000000000000000ul

/* The last one was a trap (RIP behind it), or a fault (RIP at it; at most 8 bytes long). */
static void behind(void)
{
	check_eq(trapped.frame.rip, trap_next);
}

static void at(void)
{
	check(trapped.frame.rip < trap_next && trapped.frame.rip >= trap_next - 8);
}

static void software(void)
{
	traps(LUCID_VEC_BP, 0, "int3", :);
	behind();
	traps(LUCID_VEC_BP, 0, ".byte 0xcd, 3", :);
	behind();
	/* RIP is behind it on a CPU, and at it under some hypervisors: the host's word is taken. */
	traps(LUCID_VEC_DB, 0, ".byte 0xf1", :);
	traps(LUCID_VEC_OF, 0, ".byte 0xcd, 4", :);
	behind();
	traps(LUCID_VEC_GP, 0x29 * 8 + 2, "int $0x29", :);
	at();
	traps(LUCID_VEC_UD, 0, "ud2", :);
	at();
	traps(LUCID_VEC_UD, 0, ".byte 0xf0, 0x90", :);
	at();
}

static void arithmetic(void)
{
	uint32_t simd = 0x1d00, simd_usual = 0x1f80;
	uint16_t x87 = 0x37b;

	traps(LUCID_VEC_DE, 0, "div %%ecx", ::"a"(1), "d"(0), "c"(0));
	at();
	__asm__ volatile("ldmxcsr %0\n\txorps %%xmm0, %%xmm0\n\tmovd %1, %%xmm1" ::"m"(simd),
		"r"(0x3f800000));
	traps(LUCID_VEC_XM, 0, "divss %%xmm0, %%xmm1", :);
	at();
	__asm__ volatile("ldmxcsr %0" ::"m"(simd_usual));
	__asm__ volatile("fninit\n\tfldcw %0\n\tfld1\n\tfldz\n\tfdivrp" ::"m"(x87));
	traps(LUCID_VEC_MF, 0, "fwait", :);
	at();
	__asm__ volatile("fninit");
}

static void privileged(void)
{
	traps(LUCID_VEC_GP, 0, "hlt", :);
	at();
	traps(LUCID_VEC_GP, 0, "cli", :);
	traps(LUCID_VEC_GP, 0, "mov %%cr3, %%rax", ::: "rax");
	traps(LUCID_VEC_GP, 0, "mov %%rax, %%cr0", :);
	traps(LUCID_VEC_GP, 0, "rdmsr", ::"c"(0x10));
	traps(LUCID_VEC_GP, 0, "wrmsr", ::"c"(0x10));
	traps(LUCID_VEC_GP, 0, "in %%dx, %%al", ::"d"(0x80));
	traps(LUCID_VEC_GP, 0, "swapgs", :);
	traps(LUCID_VEC_GP, 0, "invlpg (%%rsp)", :);
	at();
}

static void addresses(void)
{
	uint64_t there[2] __attribute__((aligned(16)));

	traps(LUCID_VEC_GP, 0, "mov (%0), %%rax", ::"r"(FAR) : "rax");
	at();
	traps(LUCID_VEC_GP, 0, "mov %0, (%0)", ::"r"(FAR));
	at();
	traps(LUCID_VEC_GP, 0, "movaps 1(%0), %%xmm0", ::"r"(there));
	at();
	traps(LUCID_VEC_GP, 0x60, "mov %0, %%ds", ::"r"(0x63));
	at();
}

/* With AC set, until it is cleared behind the fault. */
static void alignment(void)
{
	uint64_t there[2] = {0, 0};
	unsigned seen = trapped.count;

	__asm__ volatile("movq $1f, trap_resume(%%rip)\n\t"
			 "pushfq\n\torl $0x40000, (%%rsp)\n\tpopfq\n\t"
			 "mov 1(%0), %%eax\n"
			 "1:\tpushfq\n\tandl $~0x40000, (%%rsp)\n\tpopfq" ::"r"(there)
			 : "rax", "cc", "memory");
	check_trap(__FILE__, __LINE__, "misaligned with AC", seen, LUCID_VEC_AC, 0);
}

void test_main(void)
{
	software();
	arithmetic();
	privileged();
	addresses();
	alignment();
}
