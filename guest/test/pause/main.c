/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a machine that is paused and resumed time and again goes on with the state that it had:
 * in user mode, in the kernel with and without interrupts, halted, in calls, between spaces.
 * "disturb" does that, and sees that nothing runs meanwhile.
 * Expected: success.
 * Options: --cpus 6
 */
#include "guest/test/lib/fpu.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define AT 0x10000000ull
/* What "disturb" makes at least, less what falls together on a busy host. */
#define PAUSES 10
#define OTHERS 5

BLOB(user, "1: mov $3000, %ecx\n2: dec %ecx\njnz 2b\n"
	   "cmp $0x102, %rdx\njne 9f\ncmp $0x10c, %r12\njne 9f\ncmp $0x10f, %r15\njne 9f\n"
	   "cmp $0x105, %rbp\njne 9f\nmov (%rdi), %rax\ncmp $0x55, %rax\njne 9f\n"
	   "mov $7, %eax\nsyscall\ncmp $7, %rax\njne 9f\njmp 1b\n9: ud2");

static uint64_t cr3;
static volatile uint64_t stop, turns[CPUS];
static struct fpu want[CPUS];

static bool on_trap(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)frame;
	(void)error;
	if (vector == LUCID_VEC_EVENT)
		return true;
	if (vector != LUCID_VEC_SYSCALL)
		return false;
	turns[vcpu->id]++;
	if (stop)
		hc_offline();
	return true;
}

static void in_user_mode(void)
{
	static const struct lucid_frame regs = {
		.rdx = 0x102, .rdi = AT, .r12 = 0x10c, .r15 = 0x10f, .rbp = 0x105};

	hc_set_cr3(cr3 | 1);
	test_return(user_frame(&regs));
}

/* FPU registers keep what they have been given. */
static void turn(const struct fpu *mine)
{
	struct fpu got;

	fpu_save(&got);
	fpu_compare(&got, mine, "after a pause");
	turns[vcpu->id]++;
}

static void with_fpu(void (*fn)(void), bool interrupts)
{
	const struct fpu *mine = &want[vcpu->id];

	hc_set_cr3(cr3);
	fpu_load(mine);
	while (!stop) {
		vcpu->vif = interrupts;
		fn();
		if (vcpu->vif != interrupts)
			failure("vCPU %u: the interrupt flag has changed", (uint64_t)vcpu->id);
		turn(mine);
	}
	hc_set_timer(0);
}

static void spin(void)
{
	spin_ns(1000);
}

static void sleep(void)
{
	irq_disable(); /* or it might come before there is anything to wake */
	hc_set_timer(100000);
	hc_halt();
}

static void call(void)
{
	hc_monitor(LUCID_MC_WALLCLOCK, 0, 0, 0, 0, 0);
	hc_set_cr3(cr3 | 1);
	if (peek(AT) != 0x55)
		failure("another page");
	hc_set_cr3(cr3 | LUCID_CR3_NOFLUSH);
}

static void in_kernel(void)
{
	with_fpu(spin, false);
}

static void in_kernel_open(void)
{
	with_fpu(spin, true);
}

static void halting(void)
{
	with_fpu(sleep, true);
}

static void calling(void)
{
	with_fpu(call, true);
}

void test_main(void)
{
	static void (*const work[OTHERS])(void) = {
		in_user_mode, in_kernel, in_kernel_open, halting, calling};
	uint64_t page = page_alloc(), last, pauses = 0, begun;
	unsigned i;

	cr3 = user_space(user, BLOB_SIZE(user), 0);
	*(volatile uint64_t *)direct(page) = 0x55;
	map_page(cr3, AT, page, PTE_USER);
	cpu_hook = on_trap;
	for (i = 1; i <= OTHERS; i++) {
		fpu_pattern(&want[i], i);
		check_eq(cpu_start(i, work[i - 1]), 0);
	}
	report("ready");
	begun = last = now_ns();
	while (pauses < PAUSES) {
		uint64_t now = now_ns();

		if (now - last > 50 * MS)
			pauses++;
		last = now;
		if (now - begun > 40 * SECOND)
			failure("%u pauses", pauses);
	}
	for (i = 1; i <= OTHERS; i++) {
		uint64_t before = turns[i];

		begun = now_ns();
		while (turns[i] == before)
			if (now_ns() - begun > 10 * SECOND)
				failure("vCPU %u does not go on after a pause: pending %x halted "
					"%u vif %u",
					(uint64_t)i, vcpu_of(i)->pending,
					(uint64_t)vcpu_of(i)->halted, (uint64_t)vcpu_of(i)->vif);
	}
	/* Till the last pause is over. */
	while (now_ns() - begun < 8 * SECOND && turns[1] < ~0ull)
		spin_ns(MS);
	stop = 1;
	for (i = 1; i <= OTHERS; i++)
		if (!cpu_wait(i, 10 * SECOND))
			failure("vCPU %u does not end: pending %x halted %u vif %u", (uint64_t)i,
				vcpu_of(i)->pending, (uint64_t)vcpu_of(i)->halted,
				(uint64_t)vcpu_of(i)->vif);
	report("%u pauses; turns %u %u %u %u %u", pauses, turns[1], turns[2], turns[3], turns[4],
		turns[5]);
}
