/* SPDX-License-Identifier: MIT */
/* Limits of the host for the machine as a whole. */
#include <ctype.h>
#include <string.h>

#include "base/log.h"
#include "cli/options.h"

#define MIB (1ULL << 20)
#define MEMORY_MIN (32 * MIB)
/* Thousandths of a CPU: a hundredth, and more CPUs than there are. */
#define CPU_MIN 10
#define CPU_MAX 4096000

int options_host_memory(struct options *o, const char *arg)
{
	if (options_parse_size(arg, &o->vm.host_memory) < 0)
		return -1;
	if (o->vm.host_memory >= MEMORY_MIN)
		return 0;
	log_error("--host-memory %s: too little for a machine; give at least 32M", arg);
	return -1;
}

/* Digits, with up to three behind a point: thousandths. False if it is none. */
static bool parse_thousandths(const char **s, uint64_t *n)
{
	unsigned places = 3;

	if (!isdigit((unsigned char)**s))
		return false;
	for (*n = 0; isdigit((unsigned char)**s) && *n < 10 * CPU_MAX; (*s)++)
		*n = *n * 10 + (uint64_t)(**s - '0');
	if (**s == '.')
		for ((*s)++; places > 0 && isdigit((unsigned char)**s); (*s)++, places--)
			*n = *n * 10 + (uint64_t)(**s - '0');
	while (places-- > 0)
		*n *= 10;
	return true;
}

int options_host_cpu(struct options *o, const char *arg)
{
	const char *s = arg;
	uint64_t n;
	bool ok = parse_thousandths(&s, &n);

	if (ok && *s == '%') {
		s++;
		n /= 100;
	}
	if (!ok || *s || n < CPU_MIN || n > CPU_MAX) {
		log_error("--host-cpu %s: not a number of CPUs; give one like 1.5, or 150%%", arg);
		return -1;
	}
	o->vm.host_cpu = n;
	return 0;
}
