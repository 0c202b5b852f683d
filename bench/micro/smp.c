/* SPDX-License-Identifier: MIT */
/* Two CPUs and more: work side by side, and what goes between. Rows that are measured by name. */
#include <linux/membarrier.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/micro/micro.h"

static void *run_job(void *arg)
{
	run_cpu(*(unsigned long *)arg);
	return NULL;
}

/* The row cpu twice at once. */
static void run_two_jobs(unsigned long n)
{
	pthread_t other;

	if (pthread_create(&other, NULL, run_job, &n) != 0)
		die("pthread_create");
	run_cpu(n);
	pthread_join(other, NULL);
}

/* ---- An interrupt to another CPU and its answer: membarrier, while a thread runs there --- */

static pthread_t spinner;
static volatile int spinning;

static void *spin(void *arg)
{
	while (spinning)
		;
	return arg;
}

static void start_spinner(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) < 0)
		die("membarrier");
	spinning = 1;
	if (pthread_create(&spinner, NULL, spin, NULL) != 0)
		die("pthread_create");
}

static void run_ipi(unsigned long n)
{
	while (n--)
		if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) < 0)
			die("membarrier");
}

static void end_spinner(void)
{
	spinning = 0;
	pthread_join(spinner, NULL);
}

/* ---- Messages between many processes, in the manner of hackbench -------------------------- */

#define PEERS 10
#define LOOPS 20
#define SIZE 100

static int pair[PEERS][2];

static void receive(int from)
{
	char message[SIZE];

	for (size_t left = (size_t)PEERS * LOOPS * SIZE; left;) {
		ssize_t got = read(from, message, left < SIZE ? left : SIZE);

		if (got <= 0)
			die("read");
		left -= (size_t)got;
	}
}

static void send_to_all(void)
{
	char message[SIZE] = {0};

	for (int loop = 0; loop < LOOPS; loop++)
		for (int i = 0; i < PEERS; i++)
			if (write(pair[i][1], message, SIZE) != SIZE)
				die("write");
}

static void start(int i, int sends)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return;
	if (sends)
		send_to_all();
	else
		receive(pair[i][0]);
	_exit(0);
}

static void run_messages(unsigned long n)
{
	while (n--) {
		int status;

		for (int i = 0; i < PEERS; i++)
			if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]) < 0)
				die("socketpair");
		for (int i = 0; i < 2 * PEERS; i++)
			start(i / 2, i & 1);
		for (int i = 0; i < 2 * PEERS; i++)
			if (wait(&status) < 0 || status != 0)
				die("a child failed");
		for (int i = 0; i < PEERS; i++) {
			close(pair[i][0]);
			close(pair[i][1]);
		}
	}
}

const struct row smp_rows[] = {
	{.name = "two_jobs", .run = run_two_jobs},
	{.name = "ipi", .setup = start_spinner, .run = run_ipi, .finish = end_spinner},
	{.name = "messages", .per = PEERS * PEERS * LOOPS, .run = run_messages},
	{0},
};
