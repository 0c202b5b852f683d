/* SPDX-License-Identifier: MIT */
/* Processes and threads: made and ended, and taking turns. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
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

/* A shell that starts a program: the very shell that lies beside this one. */
static void run_shell(unsigned long n)
{
	char *argv[] = {"sh", "-c", "./micro " MICRO_EXIT "; true", NULL};
	char *env[] = {NULL};

	while (n--) {
		pid_t pid = fork();

		if (pid == 0) {
			execve("busybox", argv, env);
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
static unsigned hands; /* of the ring below, this one counted */
static char *work; /* what each of them goes over before it passes the turn on */
static size_t work_size;

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

/* The same over a pair of sockets; both ends are where the pipes' would be. */
static void start_socket(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		die("socketpair");
	there[0] = back[1] = pair[0];
	there[1] = back[0] = pair[1];
	partner = fork();
	if (partner == 0)
		echo_bytes();
	if (partner < 0)
		die("fork");
	close(pair[0]);
}

static void end_partner(void)
{
	close(there[1]);
	wait_for(partner);
}

/* ---- A turn around a ring of processes --------------------------------------------- */

static void go_over_work(void)
{
	for (size_t i = 0; i < work_size; i += 64)
		((volatile char *)work)[i]++;
}

/* Each reads from the last and writes to the next; only the first one, this, comes back. */
static void start_ring(unsigned processes, size_t size)
{
	int first[2], in, out[2];

	hands = processes;
	work_size = size;
	work = malloc(size + 1);
	if (!work || pipe(first) < 0)
		die("pipe");
	in = first[0];
	there[1] = first[1];
	for (unsigned i = 1; i < processes; i++) {
		if (pipe(out) < 0)
			die("pipe");
		partner = fork();
		if (partner < 0)
			die("fork");
		if (partner == 0) {
			close(there[1]);
			there[0] = in;
			back[1] = out[1];
			go_over_work();
			char byte;
			while (read(there[0], &byte, 1) == 1) {
				go_over_work();
				if (write(back[1], &byte, 1) != 1)
					_exit(1);
			}
			_exit(0);
		}
		close(in);
		close(out[1]);
		in = out[0];
	}
	back[0] = in;
}

static void start_2p_0k(void)
{
	start_ring(2, 0);
}

static void start_8p_16k(void)
{
	start_ring(8, 16 << 10);
}

static void start_16p_64k(void)
{
	start_ring(16, 64 << 10);
}

static void run_ring(unsigned long n)
{
	char byte = 0;

	while (n--) {
		go_over_work();
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			die("ring");
	}
}

static void end_ring(void)
{
	close(there[1]);
	while (--hands)
		wait_for(-1);
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
	{.name = "fork_sh", .run = run_shell},
	{.name = "switch_2p_0k",
		.per = 2,
		.setup = start_2p_0k,
		.run = run_ring,
		.finish = end_ring},
	{.name = "switch_8p_16k",
		.per = 8,
		.setup = start_8p_16k,
		.run = run_ring,
		.finish = end_ring},
	{.name = "switch_16p_64k",
		.per = 16,
		.setup = start_16p_64k,
		.run = run_ring,
		.finish = end_ring},
	{.name = "unix_socket", .setup = start_socket, .run = run_pipe, .finish = end_partner},
	{.name = "pipe", .setup = start_partner, .run = run_pipe, .finish = end_partner},
	{.name = "futex", .setup = start_thread, .run = run_futex, .finish = end_thread},
	{0},
};
