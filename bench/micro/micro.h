/* SPDX-License-Identifier: MIT */
/* The rows of the micro benchmark: each file brings a table of them. */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include <stdbool.h>

struct row {
	const char *name; /* NULL ends a table */
	unsigned per; /* what one run does so many of; 0 means 1 */
	void (*setup)(void); /* not timed; may be NULL */
	void (*run)(unsigned long n); /* does the operation n times */
	void (*finish)(void); /* not timed; may be NULL */
	bool once; /* only the first time counts; runs only if it is named */
};

extern const struct row syscall_rows[], memory_rows[], fault_rows[], process_rows[], compute_rows[];
/* These run only if they are named: they need two CPUs. */
extern const struct row smp_rows[];

/* The row cpu. */
void run_cpu(unsigned long n);

/* The name of this program in its own directory, which is the working directory. */
extern const char *micro_program;
/* With this argument it ends at once. */
#define MICRO_EXIT "--exit"

/* Ends the row: nothing is printed for it, and the run fails. */
_Noreturn void die(const char *what);

#endif
