/* SPDX-License-Identifier: MIT */
/*
 * Which CPU of the host the vCPU keeps to, and how much of it others take.
 *
 * The baton goes from process to process. The one that gives it still runs when the one that
 * gets it is woken, so the host would wake that on another CPU, if one is idle: an interrupt
 * there, and cold caches, for a pass that is over in a microsecond. So the spaces of a vCPU
 * keep to one CPU, that where it runs, as if they were one thread.
 *
 * A CPU is kept only while nobody else wants it. If the vCPU has to wait for it, the spaces
 * may run anywhere for a while, longer each time, and the host spreads the load as it would.
 * A little of each second is for that anyway: the host may know of a better place.
 */
#include "stub/stub.h"
#include "stub/sys.h"

#define KEEP_MS 1000 /* how long a place is kept at most */
#define LOOSE_MS 5 /* how long there is none then; doubles while it is crowded */
#define LOOSE_MAX_MS 1000
#define REVIEW_MS 40
/* What takes a space longer than this without the baton was interrupted by the vCPU. */
#define PREEMPTED_US 20
/* Ticks that are late by this part of the time since the last review make a crowd. */
#define CROWD_PART 8

static uint64_t ms_to_tsc(uint64_t ms)
{
	return ms * info->tsc_khz;
}

/* The CPU of the host that this runs on; Linux keeps it where RDTSCP finds it. */
static unsigned this_cpu(void)
{
	unsigned aux;

	__builtin_ia32_rdtscp(&aux);
	return aux & 0xfff;
}

/* Confines this space to place, a CPU + 1; 0: to what the machine may use. */
static void keep_to(unsigned place)
{
	unsigned long cpus[STUB_CPU_WORDS];
	unsigned i;

	for (i = 0; i < STUB_CPU_WORDS; i++)
		cpus[i] = place ? 0 : shared->allowed[i];
	if (place)
		cpus[(place - 1) / 64] = 1UL << ((place - 1) % 64);
	/* Whoever administers the host may have taken that CPU away. */
	if (sys3(__NR_sched_setaffinity, 0, sizeof(cpus), (long)cpus) < 0)
		shared->place = 0;
	priv->place = place;
}

void place_take(void)
{
	if (priv->place != shared->place)
		keep_to(shared->place);
}

static void begin_review(uint64_t now)
{
	shared->place_since = now;
	shared->place_late = 0;
}

static void settle(uint64_t now)
{
	unsigned cpu = this_cpu();

	if (cpu >= 64 * STUB_CPU_WORDS)
		return;
	shared->place = cpu + 1;
	shared->place_until = now + ms_to_tsc(KEEP_MS);
	begin_review(now);
	keep_to(shared->place);
}

static void loosen(uint64_t now, bool crowded)
{
	if (!crowded || !shared->place_loose)
		shared->place_loose = LOOSE_MS;
	else if (shared->place_loose < LOOSE_MAX_MS)
		shared->place_loose *= 2;
	shared->place = 0;
	shared->place_until = now + ms_to_tsc(shared->place_loose);
	keep_to(0);
}

/*
 * Whether the vCPU had to wait shows in how late its timer's event comes. What its spaces have
 * waited, as schedstat tells, does not show it: they wait for each other too.
 */
static void review(void)
{
	uint64_t now = __builtin_ia32_rdtsc(), since = now - shared->place_since;

	if (shared->due && now > shared->due)
		shared->place_late += now - shared->due;
	shared->due = 0;
	if (!shared->allowed_count)
		return;
	if (!shared->place) {
		if (now >= shared->place_until)
			settle(now);
	} else if (since >= ms_to_tsc(REVIEW_MS)) {
		if (shared->place_late > since / CROWD_PART)
			loosen(now, true);
		else if (now >= shared->place_until)
			loosen(now, false);
		begin_review(now);
	}
}

/* The second of the numbers in schedstat: ns in a run queue. 0: cannot be read. */
static uint64_t run_delay(void)
{
	char text[64];
	long n = sys4(__NR_pread64, STUB_FD_SCHEDSTAT, (long)text, sizeof(text), 0), i = 0;
	uint64_t ns = 0;

	while (i < n && text[i] != ' ')
		i++;
	for (i++; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		ns = ns * 10 + (uint64_t)(text[i] - '0');
	return ns;
}

void place_left(uint64_t since)
{
	if (__builtin_ia32_rdtsc() - since > info->tsc_khz * PREEMPTED_US / 1000)
		priv->delayed = run_delay();
}

/*
 * LUCID_HC_STEAL: each space adds what the host made it wait since it last looked. What
 * spaces waited that do not run now is added when they do.
 */
uint64_t hypercall_steal(void);
uint64_t hypercall_steal(void)
{
	uint64_t now = run_delay();

	if (now > priv->delayed) {
		vcpu->steal += now - priv->delayed;
		priv->delayed = now;
	}
	review();
	return vcpu->steal;
}
