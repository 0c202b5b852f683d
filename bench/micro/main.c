/* SPDX-License-Identifier: MIT */
/*
 * The micro benchmark: one static program, run as it is on the host and in a guest.
 *
 * It prints a line "NAME NANOSECONDS" for each row, an operation's median time. The
 * lines "begin" and "end" frame them; end has the time between by this machine's clock,
 * so that whoever reads them can tell whether that clock goes right.
 */
#include <errno.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/micro/micro.h"

#define SAMPLES_MAX 99
/* A row that takes longer hangs. */
#define ROW_SECONDS 60

const char *micro_program;

static const struct row *const tables[] = {
	syscall_rows, memory_rows, fault_rows, process_rows, compute_rows, smp_rows};

static unsigned samples = 5, sample_ms = 50;

void die(const char *what)
{
	fprintf(stderr, "micro: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t timed(const struct row *row, unsigned long n)
{
	uint64_t start = now_ns();

	row->run(n);
	return now_ns() - start;
}

/* How often to run for a sample. It also brings caches and the clock's rate to where they stay. */
static unsigned long calibrate(const struct row *row)
{
	uint64_t want = sample_ms * 1000000ULL;
	unsigned long n = 1;

	for (;;) {
		uint64_t took = timed(row, n);

		/* A time this short says little yet. */
		if (took < want / 8) {
			n *= 2;
			continue;
		}
		n = (unsigned long)((double)n * (double)want / (double)took);
		return n ? n : 1;
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const struct row *row)
{
	double ns[SAMPLES_MAX];
	unsigned taken;
	unsigned long n;

	alarm(ROW_SECONDS);
	if (row->setup)
		row->setup();
	n = row->once ? 1 : calibrate(row);
	taken = row->once ? 1 : samples;
	for (unsigned i = 0; i < taken; i++)
		ns[i] = (double)timed(row, n) / (double)n / (row->per ? row->per : 1);
	if (row->finish)
		row->finish();
	qsort(ns, taken, sizeof(ns[0]), compare);
	printf("%s %.3f\n", row->name, ns[taken / 2]);
	fflush(stdout);
}

/* A process for each row: none meets the heap, the mappings or the failure of another. */
static int measure_apart(const struct row *row)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		measure(row);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) < 0)
		die("waitpid");
	if (status == 0)
		return 0;
	fprintf(stderr, "micro: %s failed (status %#x)\n", row->name, (unsigned)status);
	return 1;
}

/* Calls do for the rows named, or for all. Returns how often it failed, or that of a wrong name. */
static int each_row(char **names, int (*action)(const struct row *))
{
	int failures = 0;
	unsigned found = 0, wanted = 0;

	while (names[wanted])
		wanted++;
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct row *row = tables[t]; row->name; row++) {
			unsigned i = 0;

			while (i < wanted && strcmp(names[i], row->name) != 0)
				i++;
			if (i == wanted && (wanted || tables[t] == smp_rows || row->once))
				continue;
			found++;
			failures += action(row);
		}
	if (found < wanted) {
		fprintf(stderr, "micro: no such row; --list tells them\n");
		failures++;
	}
	return failures;
}

static int print_name(const struct row *row)
{
	puts(row->name);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "Usage: micro [-n SAMPLES] [-t MILLISECONDS A SAMPLE] [ROW...]\n"
			"       micro --list\n");
	return 2;
}

int main(int argc, char **argv)
{
	uint64_t start;
	char *dir;
	int opt, failures;

	if (argc == 2 && strcmp(argv[1], MICRO_EXIT) == 0)
		return 0;
	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return each_row(argv + 2, print_name);
	while ((opt = getopt(argc, argv, "n:t:")) != -1) {
		unsigned long value = opt == '?' ? 0 : strtoul(optarg, NULL, 10);

		if (value < 1 || value > (opt == 'n' ? SAMPLES_MAX : 10000))
			return usage();
		*(opt == 'n' ? &samples : &sample_ms) = (unsigned)value;
	}
	/* A relative path is as long on every machine, wherever the program lies. */
	dir = strdup(argv[0]);
	if (!dir || chdir(dirname(dir)) < 0)
		die("cannot enter the directory of the program");
	micro_program = basename(argv[0]);
	if (access(micro_program, X_OK) < 0)
		die("call it by its path");

	start = now_ns();
	printf("begin 0\n");
	failures = each_row(argv + optind, measure_apart);
	printf("end %llu\n", (unsigned long long)(now_ns() - start));
	return failures ? 1 : 0;
}
