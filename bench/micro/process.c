/* SPDX-License-Identifier: MIT */
/* Processes and threads: made and ended, and taking turns. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/micro/micro.h"

static void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0 || status != 0)
		die("a child failed");
}

static void run_fork(unsigned long n)
{
	while (n--) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid < 0)
			die("fork");
		wait_for(pid);
	}
}

static void run_exec(unsigned long n)
{
	char *argv[] = {(char *)micro_program, MICRO_EXIT, NULL};
	char *env[] = {NULL};

	while (n--) {
		pid_t pid = fork();

		if (pid == 0) {
			execve(micro_program, argv, env);
			_exit(1);
		}
		if (pid < 0)
			die("fork");
		wait_for(pid);
	}
}

/* ---- A byte to another process and back ------------------------------------------ */

static int there[2], back[2];
static pid_t partner;

static void echo_bytes(void)
{
	char byte;

	close(there[1]);
	while (read(there[0], &byte, 1) == 1)
		if (write(back[1], &byte, 1) != 1)
			_exit(1);
	_exit(0);
}

static void start_partner(void)
{
	if (pipe(there) < 0 || pipe(back) < 0)
		die("pipe");
	partner = fork();
	if (partner == 0)
		echo_bytes();
	if (partner < 0)
		die("fork");
	close(back[1]);
}

static void run_pipe(unsigned long n)
{
	char byte = 0;

	while (n--)
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			die("pipe");
}

static void end_partner(void)
{
	close(there[1]);
	wait_for(partner);
}

/* ---- A turn to another thread and back ------------------------------------------- */

enum { MINE, YOURS, OVER };

static unsigned turn;
static pthread_t thread;

static void give(unsigned to)
{
	__atomic_store_n(&turn, to, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Sleeps while it is another's turn; returns whose it is then. */
static unsigned await(unsigned other)
{
	unsigned now;

	while ((now = __atomic_load_n(&turn, __ATOMIC_SEQ_CST)) == other)
		if (syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, other, NULL, NULL, 0) < 0 &&
			errno != EAGAIN && errno != EINTR)
			die("futex");
	return now;
}

static void *give_back(void *arg)
{
	while (await(MINE) == YOURS)
		give(MINE);
	return arg;
}

static void start_thread(void)
{
	if (pthread_create(&thread, NULL, give_back, NULL) != 0)
		die("pthread_create");
}

static void run_futex(unsigned long n)
{
	while (n--) {
		give(YOURS);
		await(YOURS);
	}
}

static void end_thread(void)
{
	give(OVER);
	pthread_join(thread, NULL);
}

const struct row process_rows[] = {
	{.name = "fork_exit", .run = run_fork},
	{.name = "fork_exec", .run = run_exec},
	{.name = "pipe", .setup = start_partner, .run = run_pipe, .finish = end_partner},
	{.name = "futex", .setup = start_thread, .run = run_futex, .finish = end_thread},
	{0},
};
