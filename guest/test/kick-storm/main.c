/* SPDX-License-Identifier: MIT */
/*
 * Purpose: kicks faster than a vCPU can take them do not pile up on its signal stack: two others
 * ask again and again that it looks, while it runs programs, switches spaces, fills and drops.
 * Expected: success.
 * Options: --cpus 3
 */
#include "guest/test/lib/test.h"

#define SECOND 1000000000ull
#define AT 0x20000000ull
#define TARGET 1
#define SENDER 2
#define SPACES 3

BLOB(user_spin, "1: mov (%rdi), %rax\nmov $300, %ecx\n2: dec %ecx\njnz 2b\nmov $7, %eax\nsyscall\n"
		"jmp 1b");

static uint64_t cr3;
static volatile uint64_t stop, ready, sent, rounds;

static bool on_trap(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)frame;
	(void)error;
	if (vector == LUCID_VEC_EVENT)
		return true;
	if (vector != LUCID_VEC_SYSCALL)
		return false;
	if (stop)
		hc_offline();
	/* The next read is a fill again. */
	hc_flush(AT, AT + PAGE);
	rounds++;
	return true;
}

static void run_user(void)
{
	static const struct lucid_frame regs = {.rdi = AT};

	hc_set_cr3(cr3 | 1);
	ready++;
	test_return(user_frame(&regs));
}

static void run_kernel(void)
{
	ready++;
	for (; !stop; rounds++) {
		hc_set_cr3(cr3 | (rounds % SPACES));
		peek(AT);
		hc_flush(0, LUCID_USER_END);
	}
}

/* It kicks, and may not be able to tell when all have taken it. */
static void kick(void)
{
	check_eq(hc_sync(1 << TARGET), info->features & LUCID_FEATURE_SPLIT ? LUCID_E_NOSYS : 0);
}

static void send_many(void)
{
	while (!stop) {
		kick();
		sent++;
	}
}

static void storm(const char *what, void (*work)(void), uint64_t ns)
{
	uint64_t end, mine = 0;

	stop = ready = sent = rounds = 0;
	check_eq(cpu_start(TARGET, work), 0);
	await_word("the vCPU", &ready, 1);
	check_eq(cpu_start(SENDER, send_many), 0);
	for (end = now_ns() + ns; now_ns() < end; mine++)
		kick();
	stop = 1;
	check(cpu_wait(TARGET, 10 * SECOND) && cpu_wait(SENDER, 10 * SECOND));
	report("%s: %u rounds under %u kicks", what, rounds, mine + sent);
	check(rounds > 0 && mine > 100);
}

void test_main(void)
{
	uint64_t ns = cmdline_number("seconds", 2) * SECOND;

	cr3 = user_space(user_spin, BLOB_SIZE(user_spin), 0);
	map_page(cr3, AT, page_alloc(), PTE_USER);
	cpu_hook = on_trap;
	storm("programs", run_user, ns / 2);
	storm("the kernel", run_kernel, ns / 2);
}
