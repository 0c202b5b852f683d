/* SPDX-License-Identifier: MIT */
/*
 * Threads on several CPUs against each other: mappings that change under them, forks among
 * them, signals, membarrier, what CPU they are on, one clock. "smp SECONDS" for each part;
 * prints ok.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 6
#define PAGE 4096
#define SHARED_PAGES 64

static atomic_int stop;
static unsigned seconds = 1;

#define fail(...)                                                                                  \
	do {                                                                                       \
		printf(__VA_ARGS__);                                                               \
		printf("\n");                                                                      \
		fflush(stdout);                                                                    \
		_exit(1);                                                                          \
	} while (0)

/* Runs one function in all threads for a while. */
static void part(void *(*fn)(void *))
{
	const struct timespec t = {seconds, 0};
	pthread_t thread[THREADS];

	atomic_store(&stop, 0);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, fn, (void *)i))
			fail("pthread_create");
	nanosleep(&t, NULL);
	atomic_store(&stop, 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

/* ---- Mappings of one's own, made and dropped beside the others' ---------------------- */

static void *own_mappings(void *arg)
{
	unsigned long id = (unsigned long)arg, round = 0;

	while (!stop) {
		size_t pages = 1 + (round * 7 + id) % 40;
		unsigned long *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			fail("mmap: %s", strerror(errno));
		for (size_t i = 0; i < pages; i++) {
			if (p[i * PAGE / 8])
				fail("a new page is not zero");
			p[i * PAGE / 8] = id << 32 | round;
		}
		if (round % 3 == 0)
			mprotect(p, pages * PAGE, PROT_READ);
		if (round % 5 == 0)
			madvise(p, pages / 2 * PAGE, MADV_DONTNEED);
		for (size_t i = 0; i < pages; i++) {
			unsigned long want = round % 5 == 0 && i < pages / 2 ? 0 : id << 32 | round;

			if (p[i * PAGE / 8] != want)
				fail("page %zu: %lx, not %lx", i, p[i * PAGE / 8], want);
		}
		munmap(p, pages * PAGE);
		round++;
	}
	return NULL;
}

/* ---- Shared mappings: a stale entry would be a write where there must be none --------- */

static volatile unsigned long *area;
static atomic_ulong epoch; /* odd: the area is read-only, by all means */
static __thread sigjmp_buf on_fault;
static __thread volatile int may_fault;

static void faulted(int sig)
{
	if (!may_fault)
		fail("unexpected signal %d", sig);
	siglongjmp(on_fault, 1);
}

static void *protections(void *arg)
{
	unsigned long id = (unsigned long)arg, n = 0;

	if (id == 0) {
		while (!stop) {
			unsigned long before;

			mprotect((void *)area, SHARED_PAGES * PAGE, PROT_READ);
			epoch++;
			/* From here on no write of any thread may arrive. */
			before = area[n % SHARED_PAGES * PAGE / 8];
			for (int i = 0; i < 200; i++)
				if (area[n % SHARED_PAGES * PAGE / 8] != before)
					fail("a write to a read-only page arrived");
			epoch++;
			mprotect((void *)area, SHARED_PAGES * PAGE, PROT_READ | PROT_WRITE);
			n++;
		}
		return NULL;
	}
	while (!stop) {
		unsigned long e;

		may_fault = 1;
		if (sigsetjmp(on_fault, 1) == 0) {
			e = epoch;
			area[n % SHARED_PAGES * PAGE / 8] += id;
			/* It was read-only before and after, and so in between. */
			if ((e & 1) && epoch == e)
				fail("thread %lu wrote to a read-only page", id);
		}
		may_fault = 0;
		n++;
	}
	return NULL;
}

/* ---- Pages that become others' ---------------------------------------------------------- */

/* One replaces a page by another; who has read the new number must not see old ones again. */
static void *replaced(void *arg)
{
	unsigned long id = (unsigned long)arg, n = 1;

	while (!stop) {
		if (id == 0) {
			unsigned long *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			*p = n;
			if (mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)area) ==
				MAP_FAILED)
				fail("mremap: %s", strerror(errno));
			atomic_store(&epoch, n++);
		} else {
			unsigned long least = atomic_load(&epoch), is;

			may_fault = 1;
			if (sigsetjmp(on_fault, 1) == 0) {
				is = area[0];
				if (is < least)
					fail("read %lu after %lu: stale", is, least);
			}
			may_fault = 0;
		}
	}
	return NULL;
}

/* ---- Forks among threads ------------------------------------------------------------------ */

static atomic_ulong shared_counter;

static void *forks(void *arg)
{
	unsigned long id = (unsigned long)arg;
	volatile unsigned long mine[64];

	while (!stop) {
		int status;
		pid_t pid;

		if (id > 1) { /* write to what the others' forks make read-only */
			for (int i = 0; i < 64; i++)
				mine[i] = i ^ shared_counter;
			area[id * 8] = shared_counter++;
			continue;
		}
		mine[0] = id + 100;
		pid = fork();
		if (pid == 0) {
			area[0] = mine[0];
			_exit(area[0] == id + 100 ? 7 : 1);
		}
		mine[0] = 0;
		if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
			WEXITSTATUS(status) != 7)
			fail("fork: status %x", status);
	}
	return NULL;
}

/* ---- Signals ------------------------------------------------------------------------------- */

static pthread_t peer[THREADS];
static atomic_int peers;
static __thread volatile unsigned long taken;

static void on_usr1(int sig)
{
	(void)sig;
	taken++;
}

static void *signals(void *arg)
{
	unsigned long id = (unsigned long)arg, sum = 0, n = 0;

	peer[id] = pthread_self();
	peers++;
	while (peers < THREADS && !stop)
		sched_yield();
	while (!stop) {
		double x = 1.0 + (double)id;

		for (int i = 0; i < 300; i++)
			x = x * 1.0000001;
		if (x < 1.0 + (double)id)
			fail("a register of the FPU has changed");
		sum += n;
		if (n++ % 8 == 0)
			pthread_kill(peer[(id + 1) % THREADS], SIGUSR1);
	}
	/* Nobody ends while another may still send to it. */
	peers--;
	while (peers > 0)
		sched_yield();
	return (void *)(taken + sum);
}

/* ---- membarrier --------------------------------------------------------------------------------
 */

static volatile long flag[2], seen[2];
static atomic_long turn_of;

/* Dekker with the fence on one side alone: the other side's is membarrier. */
static void *barriers(void *arg)
{
	unsigned long id = (unsigned long)arg;

	if (id > 1)
		return NULL;
	for (long n = 1; !stop; n++) {
		while (turn_of < 2 * n - 2 && !stop)
			;
		flag[id] = n;
		if (id == 0)
			__asm__ volatile("" ::: "memory");
		else if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
			fail("membarrier: %s", strerror(errno));
		seen[id] = flag[!id];
		if (atomic_fetch_add(&turn_of, 1) == 2 * n - 1 && seen[0] < n && seen[1] < n)
			fail("membarrier: both saw the past");
	}
	return NULL;
}

/* ---- Which CPU
 * ----------------------------------------------------------------------------------- */

static void *migrates(void *arg)
{
	unsigned long id = (unsigned long)arg;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const struct rseq *rseq = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);

	for (unsigned long n = id; !stop; n++) {
		int cpu = (int)(n % (unsigned long)cpus);
		cpu_set_t set;
		unsigned is;

		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			fail("sched_setaffinity: %s", strerror(errno));
		for (int i = 0; i < 50; i++) {
			if (sched_getcpu() != cpu)
				fail("sched_getcpu: %d, not %d", sched_getcpu(), cpu);
			if (syscall(SYS_getcpu, &is, NULL, NULL) || (int)is != cpu)
				fail("getcpu: %u, not %d", is, cpu);
			if (__rseq_size && *(volatile unsigned *)&rseq->cpu_id != (unsigned)cpu)
				fail("rseq: %u, not %d", rseq->cpu_id, cpu);
		}
	}
	return NULL;
}

/* ---- One clock
 * ------------------------------------------------------------------------------------- */

static atomic_ulong latest;

/* Nobody reads less than what another one has read before and told. */
static void *clocks(void *arg)
{
	(void)arg;
	while (!stop) {
		unsigned long told = latest, now;
		struct timespec t;

		clock_gettime(CLOCK_MONOTONIC, &t);
		now = (unsigned long)t.tv_sec * 1000000000 + (unsigned long)t.tv_nsec;
		if (now < told)
			fail("clock: %lu after %lu", now, told);
		while (told < now && !atomic_compare_exchange_weak(&latest, &told, now))
			continue;
	}
	return NULL;
}

/* ---- Futex
 * ------------------------------------------------------------------------------------------ */

static atomic_int ball;

static void *futexes(void *arg)
{
	int id = (int)(long)arg;

	while (!stop) {
		int now = ball;

		if (now % THREADS != id) {
			const struct timespec t = {0, 20000000};

			syscall(SYS_futex, &ball, FUTEX_WAIT_PRIVATE, now, &t, NULL, 0);
			continue;
		}
		if (!atomic_compare_exchange_strong(&ball, &now, now + 1))
			fail("futex: it was not our turn");
		syscall(SYS_futex, &ball, FUTEX_WAKE_PRIVATE, THREADS, NULL, NULL, 0);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction fault = {.sa_handler = faulted, .sa_flags = SA_NODEFER};
	struct sigaction usr1 = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};

	if (argc > 1)
		seconds = (unsigned)atoi(argv[1]);
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGUSR1, &usr1, NULL);
	area = mmap(NULL, SHARED_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		fail("membarrier: %s", strerror(errno));
	part(own_mappings);
	part(protections);
	epoch = 0;
	part(replaced);
	part(forks);
	part(signals);
	part(barriers);
	part(migrates);
	part(clocks);
	part(futexes);
	if (ball < 100)
		fail("futex: %d turns alone", ball);
	puts("ok");
	return 0;
}
