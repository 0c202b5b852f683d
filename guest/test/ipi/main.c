/* SPDX-License-Identifier: MIT */
/*
 * Purpose: interrupts from one vCPU to another in every state that it can be in, and in every
 * window between two of them: each arrives, and no register changes. --append "seconds=60" makes
 * it a soak test; "stage=" runs one loop alone.
 * Expected: success.
 * Options: --cpus 2
 */
#include "guest/test/lib/test.h"

#define SECOND 1000000000ull
#define LOST (10 * SECOND)
#define AT 0x10000000ull
#define PING 0
#define PONG 1
#define PING_EVENT LUCID_EVENT_IPI(PING)
#define PONG_EVENT LUCID_EVENT_IPI(PONG)

/* User mode's registers hold their numbers; ud2 tells that one was wrong. */
#define CHECK(reg, value) "cmp $" #value ", %" #reg "\njne 9f\n"
#define ROUNDS(name, what)                                                                         \
	BLOB(name, "1:\n" what "\n" CHECK(rdx, 0x102) CHECK(r8, 0x108) CHECK(r12, 0x10c)           \
			   CHECK(r13, 0x10d) CHECK(r14, 0x10e) CHECK(r15, 0x10f)                   \
				   CHECK(rbp, 0x105) "jmp 1b\n9: ud2")

ROUNDS(calls, "mov $7, %eax\nsyscall\ncmp $7, %rax\njne 9f");
ROUNDS(computes, "mov $2000, %ecx\n2: dec %ecx\njnz 2b\nmov $7, %eax\nsyscall");
ROUNDS(fills, "mov $8, %eax\nsyscall\nmov (%rdi), %rax\ncmp $0x55, %rax\njne 9f");
ROUNDS(faults, "int3");
ROUNDS(switches, "mov $9, %eax\nsyscall\nmov (%rdi), %rax\ncmp $0x55, %rax\njne 9f");

static volatile uint64_t stop, rounds, stage_now = ~0ull;
static uint64_t cr3, other, state = 88172645463325252;
static void **volatile user_end;
static unsigned asid;

static bool on_trap(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)error;
	if (vector == LUCID_VEC_EVENT) {
		hc_send(0, 1 << PONG_EVENT);
		return true;
	}
	rounds++;
	if (vector == LUCID_VEC_UD)
		failure("stage %u: a register of user mode has changed (rip %x)", stage_now,
			frame->rip);
	if (!(frame->cs & 3))
		return vector == LUCID_VEC_BP;
	if (stop && user_end)
		__builtin_longjmp(user_end, 1);
	if (vector == LUCID_VEC_SYSCALL && frame->orig == 8)
		hc_flush(AT, AT + PAGE);
	if (vector == LUCID_VEC_SYSCALL && frame->orig == 9) {
		asid = (asid + 1) % 3;
		hc_set_cr3(cr3 | asid | LUCID_CR3_NOFLUSH);
	}
	return vector == LUCID_VEC_SYSCALL || vector == LUCID_VEC_BP;
}

static void user_loop(const void *code, size_t size)
{
	static const struct lucid_frame regs = {.rdx = 0x102,
		.rdi = AT,
		.r8 = 0x108,
		.r12 = 0x10c,
		.r13 = 0x10d,
		.r14 = 0x10e,
		.r15 = 0x10f,
		.rbp = 0x105};
	void *volatile buffer[5];

	user_code(code, size);
	hc_set_cr3(cr3 | 0);
	hc_set_cr3(cr3 | 1);
	hc_set_cr3(cr3 | 2);
	asid = 2;
	if (!__builtin_setjmp((void **)buffer)) {
		user_end = (void **)buffer;
		test_return(user_frame(&regs));
	}
	user_end = NULL;
	hc_set_cr3(cr3);
}

#define USER(name)                                                                                 \
	static void user_##name(void)                                                              \
	{                                                                                          \
		user_loop(name, BLOB_SIZE(name));                                                  \
	}
USER(calls)
USER(computes)
USER(fills)
USER(faults)
USER(switches)

static void kernel_traps(void)
{
	__asm__ volatile("int3");
}

static void kernel_fills(void)
{
	hc_flush(AT, AT + PAGE);
	if (peek(AT) != 0x55)
		failure("a fill of the kernel's went wrong");
}

static void tails(void)
{
	hc_events();
	hc_premap(AT, 0);
	hc_notify(LUCID_DEVICES - 1, LUCID_DEVICE_QUEUES);
}

static void kernel_switches(void)
{
	hc_set_cr3(other | 1 | (rounds & 1 ? LUCID_CR3_NOFLUSH : 0));
	hc_set_cr3(cr3 | (rounds & 2 ? LUCID_CR3_NOFLUSH : 0));
}

static void enables(void)
{
	irq_disable();
	spin_ns(300);
	irq_enable();
}

static void halts(void)
{
	hc_halt();
}

static void looks_for_work(void)
{
	irq_disable();
	if (!look_for_work(rounds % 4 * 1000))
		hc_halt();
}

static void waits(void)
{
	hc_wait();
	irq_enable();
}

static void timers(void)
{
	hc_set_timer(1000 + rounds % 5000);
	hc_halt();
}

static void monitor_calls(void)
{
	hc_monitor(LUCID_MC_WALLCLOCK, 0, 0, 0, 0, 0);
}

static const struct {
	const char *name;
	void (*run)(void);
} list[] = {
	{"user: system calls", user_calls},
	{"user: computing", user_computes},
	{"user: fills", user_fills},
	{"user: exceptions", user_faults},
	{"user: switches", user_switches},
	{"kernel: traps", kernel_traps},
	{"kernel: fills", kernel_fills},
	{"tails of hypercalls", tails},
	{"switches", kernel_switches},
	{"enabling and disabling", enables},
	{"halting", halts},
	{"looking for work, then halting", looks_for_work},
	{"waiting", waits},
	{"halting with a timer", timers},
	{"monitor calls", monitor_calls},
};

/* The second vCPU: a stage's loop until it is told to stop. */
static void second(void)
{
	hc_set_cr3(cr3);
	irq_enable();
	while (!stop) {
		list[stage_now].run();
		irq_enable();
		rounds++;
	}
}

static uint64_t random(void)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return state >> 33;
}

/* One there and back; the time that it took. */
static uint64_t ping(void)
{
	uint64_t before = cpu_events[1][PING_EVENT], back = events_seen[PONG_EVENT];
	uint64_t begun = now_ns();

	hc_send(1, 1 << PING_EVENT);
	while (cpu_events[1][PING_EVENT] == before || events_seen[PONG_EVENT] == back) {
		__builtin_ia32_pause();
		if (now_ns() - begun > LOST)
			failure("%s: lost: pending %x and %x, halted %u", list[stage_now].name,
				vcpu_of(1)->pending, vcpu->pending, (uint64_t)vcpu_of(1)->halted);
	}
	return now_ns() - begun;
}

static void storm(unsigned which, uint64_t ns)
{
	uint64_t end, pings = 0, least = ~0ull, sum = 0, rewinds = vcpu_of(1)->count_rewind;

	stage_now = which;
	stop = 0;
	rounds = 0;
	check_eq(cpu_start(1, second), 0);
	for (end = now_ns() + ns; now_ns() < end; pings++) {
		uint64_t took = ping();

		sum += took;
		least = took < least ? took : least;
		spin_ns(random() % 8000);
	}
	stop = 1;
	while (!cpu_wait(1, 1000000)) /* out of its sleep, if it sleeps */
		hc_send(1, 1 << PING_EVENT);
	report("%s: %u pings in %u rounds, %u rewinds, %u ns on average, %u at least",
		list[which].name, pings, rounds, vcpu_of(1)->count_rewind - rewinds, sum / pings,
		least);
}

void test_main(void)
{
	uint64_t ns = cmdline_number("seconds", 4) * SECOND, only = cmdline_number("stage", ~0ull);
	unsigned i, n = sizeof(list) / sizeof(list[0]);
	uint64_t page = page_alloc();

	cr3 = user_space(calls, BLOB_SIZE(calls), 0);
	other = space_new();
	*(volatile uint64_t *)direct(page) = 0x55;
	map_page(cr3, AT, page, PTE_USER);
	cpu_hook = on_trap;
	irq_enable();
	if (only < n)
		storm((unsigned)only, ns);
	else
		for (i = 0; i < n; i++)
			storm(i, ns / n);
}
