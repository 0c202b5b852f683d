/* SPDX-License-Identifier: MIT */
/* System calls, by the C library's functions as any program would. */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/micro/micro.h"

static int zero_fd, null_fd;
static pid_t self;
static volatile sig_atomic_t signals;

static void run_getppid(unsigned long n)
{
	while (n--)
		getppid();
}

static void open_zero(void)
{
	zero_fd = open("/dev/zero", O_RDONLY);
	if (zero_fd < 0)
		die("/dev/zero");
}

static void run_read(unsigned long n)
{
	char byte;

	while (n--)
		if (read(zero_fd, &byte, 1) != 1)
			die("read");
}

static void open_null(void)
{
	null_fd = open("/dev/null", O_WRONLY);
	if (null_fd < 0)
		die("/dev/null");
}

static void run_write(unsigned long n)
{
	while (n--)
		if (write(null_fd, "", 1) != 1)
			die("write");
}

/* Of a hundred descriptors, none of which is ready. */
#define SELECT_PIPES 50
static fd_set select_set;
static int select_max;

static void open_many(void)
{
	for (int i = 0; i < SELECT_PIPES; i++) {
		int p[2];

		if (pipe(p) < 0)
			die("pipe");
		FD_SET(p[0], &select_set);
		select_max = p[1];
	}
}

static void run_select(unsigned long n)
{
	while (n--) {
		struct timeval none = {0};
		fd_set set = select_set;

		if (select(select_max + 1, &set, NULL, NULL, &none) != 0)
			die("select");
	}
}

static void run_stat(unsigned long n)
{
	struct stat st;

	while (n--)
		if (stat(micro_program, &st) < 0)
			die("stat");
}

static void run_open(unsigned long n)
{
	while (n--) {
		int fd = open(micro_program, O_RDONLY);

		if (fd < 0 || close(fd) < 0)
			die("open");
	}
}

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void catch_signal(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	if (sigaction(SIGUSR1, &action, NULL) < 0)
		die("sigaction");
	self = getpid();
}

/* kill() to oneself returns when the handler has run. */
static void run_signal(unsigned long n)
{
	signals = 0;
	for (unsigned long i = 0; i < n; i++)
		if (kill(self, SIGUSR1) < 0)
			die("kill");
	if ((unsigned)signals != (unsigned)n)
		die("signals were lost");
}

static void run_clock(unsigned long n)
{
	struct timespec t;

	while (n--)
		clock_gettime(CLOCK_MONOTONIC, &t);
}

const struct row syscall_rows[] = {
	{.name = "getppid", .run = run_getppid},
	{.name = "read_1", .setup = open_zero, .run = run_read},
	{.name = "write_1", .setup = open_null, .run = run_write},
	{.name = "select", .setup = open_many, .run = run_select},
	{.name = "stat", .run = run_stat},
	{.name = "open_close", .run = run_open},
	{.name = "signal_self", .setup = catch_signal, .run = run_signal},
	{.name = "clock_gettime", .run = run_clock},
	{0},
};
