/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a flush of kernel addresses reaches every space of every vCPU before the one that asked
 * goes on: of vCPUs that run in kernel or user mode, halt or look for work, and spaces that wait or
 * have been retired. Each tries to use the stale entry at the first moment that it can. "disturb"
 * pauses the machine and lets it go on meanwhile, whatever the vCPUs are at.
 * Expected: success.
 * Options: --cpus 5
 */
#include "guest/test/lib/test.h"

#define SECOND 1000000000ull
#define KERNEL_AT (LUCID_KERNEL_BASE + 0x200000)
#define USER_AT 0x20000000ull
#define SPACES 3
#define FLUSH LUCID_EVENT_IPI(0)
#define MANY 100 /* mappings: a full flush of so many retires the space */
#define OTHERS 4

BLOB(user_spin, "1: mov $500, %ecx\n2: dec %ecx\njnz 2b\nmov $7, %eax\nsyscall\njmp 1b");

static uint64_t cr3;
static volatile uint64_t stop, ready, generation, reads[CPUS], left_alone, synced;
static volatile uint64_t *entry;
static uint64_t page[2];

/* Every space that the vCPU has sees what the tables say, and so has what vCPUs see at all. */
static void look(void)
{
	uint64_t want = generation, is = peek(KERNEL_AT);

	/* It may have changed between the two, but never back. */
	if (is < want)
		failure("vCPU %u: %u is stale, flushed was %u", (uint64_t)vcpu->id, is, want);
	reads[vcpu->id]++;
}

/* The same, once whoever did not wait for this vCPU has gone on, if there is one. */
static void look_late(void)
{
	uint64_t before = generation, end = now_ns() + 100000;

	while (generation == before && now_ns() < end)
		__builtin_ia32_pause();
	look();
}

static bool on_trap(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)frame;
	(void)error;
	if (vector == LUCID_VEC_PF)
		return false;
	/* Out of user mode and sleep nothing has been done about flushes but by the stub. */
	if (vector == LUCID_VEC_EVENT)
		look_late();
	else
		look();
	if (vector == LUCID_VEC_EVENT) {
		hc_flush_kernel(0, 0);
		return true;
	}
	if (vector != LUCID_VEC_SYSCALL)
		return false;
	if (stop) {
		hc_offline();
		failure("goes on after it went offline");
	}
	return true;
}

/* Retires the space that it is in, now and then: of what it leaves behind nothing may be used. */
static void churn(unsigned round)
{
	unsigned i;

	hc_set_cr3(cr3 | (round % SPACES));
	look();
	for (i = 0; i < MANY && round % 7 == 0; i++)
		peek(USER_AT + 2 * i * PAGE);
	hc_flush(0, LUCID_USER_END);
	look();
}

static void run_kernel(void)
{
	unsigned round;

	ready++;
	for (round = 0; !stop; round++) {
		irq_enable();
		churn(round);
	}
}

static void run_user(void)
{
	static const struct lucid_frame regs;

	hc_set_cr3(cr3 | 1);
	look();
	ready++;
	test_return(user_frame(&regs));
}

static void halt(void)
{
	unsigned round;

	ready++;
	for (round = 0; !stop; round++) {
		hc_set_cr3(cr3 | (round % SPACES));
		look();
		hc_set_timer(20000 + 1000 * (round % 50));
		hc_halt();
		irq_disable();
		look();
	}
	hc_set_timer(0);
}

static void look_for(void)
{
	unsigned round;

	ready++;
	for (round = 0; !stop; round++) {
		hc_set_cr3(cr3 | (round % SPACES));
		look();
		irq_disable();
		look_for_work(20000 + 1000 * (round % 50));
		look();
		irq_enable();
	}
}

/* Done, or done before it runs anything. */
static bool follows(unsigned id, uint64_t gen)
{
	return vcpu_of(id)->kernel_gen >= gen || vcpu_of(id)->halted ||
	       vcpu_of(id)->state == LUCID_STATE_OFFLINE;
}

/* As a kernel would: whoever sleeps or is in user mode by all means is not waited for. */
static void flush_all(void)
{
	uint64_t gen = hc_flush_kernel(KERNEL_AT, KERNEL_AT + PAGE), since, waiting = 0;
	unsigned id;

	for (id = 1; id <= OTHERS; id++) {
		if (follows(id, gen)) {
			left_alone += vcpu_of(id)->halted;
			continue;
		}
		hc_send(id, 1 << FLUSH);
		waiting |= 1ull << id;
	}
	since = now_ns();
	while (waiting) {
		__builtin_ia32_pause();
		for (id = 1; id <= OTHERS; id++)
			if (follows(id, gen))
				waiting &= ~(1ull << id);
		if (now_ns() - since < 10000)
			continue;
		if (hc_sync(waiting) == 0)
			for (id = 1; id <= OTHERS; id++)
				if (waiting >> id & 1 && vcpu_of(id)->mode == LUCID_MODE_USER) {
					waiting &= ~(1ull << id);
					synced++;
				}
		if (now_ns() - since > 10 * SECOND)
			failure("vCPUs %x do not follow", waiting);
	}
}

/* The page changes place, the old one is told what would be stale, then all may rely on it. */
static void change(void)
{
	uint64_t next = generation + 1;

	*(volatile uint64_t *)direct(page[next & 1]) = next;
	*entry = page[next & 1] | PTE_P | PTE_W;
	flush_all();
	check_eq(peek(KERNEL_AT), next);
	generation = next;
}

static uint64_t all_reads(void)
{
	uint64_t sum = 0;
	unsigned id;

	for (id = 1; id <= OTHERS; id++)
		sum += reads[id];
	return sum;
}

/* Flushes beside the vCPUs of a set. */
static void storm(unsigned set, uint64_t ns)
{
	static void (*const work[])(void) = {NULL, run_kernel, run_user, halt, look_for};
	uint64_t begun = generation, looks = all_reads(), end, id, started = 0;

	stop = 0;
	ready = 0;
	for (id = 1; id <= OTHERS; id++)
		if (set >> id & 1) {
			check_eq(cpu_start((unsigned)id, work[id]), 0);
			started++;
		}
	await_word("vCPUs that are ready", &ready, started);
	for (end = now_ns() + ns; now_ns() < end;) {
		change();
		spin_ns(generation % 13 * 2000);
	}
	stop = 1;
	for (id = 1; id <= OTHERS; id++)
		if (!cpu_wait((unsigned)id, 10 * SECOND))
			failure("vCPU %u does not stop", id);
	report("vCPUs %x: %u flushes, %u looks; in all %u left alone, %u not waited for", set,
		generation - begun, all_reads() - looks, left_alone, synced);
	check(generation - begun > 10);
}

void test_main(void)
{
	uint64_t ns = cmdline_number("seconds", 4) * SECOND, i;

	page[0] = page_alloc();
	page[1] = page_alloc();
	cr3 = user_space(user_spin, BLOB_SIZE(user_spin), 0);
	entry = map_page(cr3, KERNEL_AT, page[0], PTE_P | PTE_W);
	for (i = 0; i < MANY; i++)
		map_page(cr3, USER_AT + 2 * i * PAGE, page_alloc(), PTE_USER);
	cpu_hook = on_trap;
	/* Each alone, so that nobody else is waited for, and then several at once. */
	for (i = 1; i <= OTHERS; i++)
		storm(1 << i, ns / 4);
	storm(1 << 1 | 1 << 2 | 1 << 3, ns / 4);
	check(left_alone > 0 && (synced > 0 || (info->features & LUCID_FEATURE_SPLIT)) &&
		vcpu_of(1)->count_retire > 0);
}
