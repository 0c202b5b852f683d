/* SPDX-License-Identifier: MIT */
/*
 * What the zygote tells the monitor of a space, from /proc. The monitor opens no files while the
 * machine runs; the zygote has /proc open, and runs nothing of the guest's.
 */
#include <linux/fcntl.h>

#include "stub/stub.h"
#include "stub/sys.h"

#define ENODATA 61

static unsigned put_number(char *to, unsigned value)
{
	char digits[12];
	unsigned n = 0, at = 0;

	do {
		digits[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	while (n)
		to[at++] = digits[--n];
	return at;
}

static unsigned put(char *to, const char *text)
{
	unsigned n = 0;

	for (; text[n]; n++)
		to[n] = text[n];
	to[n] = 0;
	return n;
}

/* The number in [text, end) from the first digit on; -ENODATA: there is none. */
static long number_in(const char *text, const char *end)
{
	long value = 0;

	while (text < end && (*text < '0' || *text > '9'))
		text++;
	if (text == end)
		return -ENODATA;
	for (; text < end && *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (*text - '0');
	return value;
}

/* Reads a file below /proc: bytes or -errno. */
static long slurp(const char *path, char *text, long size)
{
	long fd = sys4(__NR_openat, STUB_FD_PROC, (long)path, O_RDONLY, 0), n;

	if (fd < 0)
		return fd;
	n = sys4(__NR_pread64, fd, (long)text, size, 0);
	sys3(__NR_close, fd, 0, 0);
	return n;
}

static long tables_of(unsigned pid)
{
	static const char name[] = "\nVmPTE:";
	const long length = sizeof(name) - 1;
	char path[32], text[4096];
	long n, i, j;

	put(path + put_number(path, pid), "/status");
	n = slurp(path, text, sizeof(text));
	for (i = 0; i + length < n; i++) {
		for (j = 0; j < length && text[i + j] == name[j]; j++)
			;
		if (j == length)
			return number_in(text + i, text + n);
	}
	return n < 0 ? n : -ENODATA;
}

long twin_of(unsigned pid)
{
	char path[64], text[16];
	unsigned at = put_number(path, pid);
	long n;

	at += put(path + at, "/task/");
	at += put_number(path + at, pid);
	put(path + at, "/children");
	n = slurp(path, text, sizeof(text));
	return n <= 0 ? 0 : number_in(text, text + n);
}

long page_tables(unsigned pid)
{
	long own = tables_of(pid), twin = priv->twin ? twin_of(pid) : 0, more;

	if (own < 0 || twin <= 0)
		return own;
	more = tables_of((unsigned)twin);
	return more < 0 ? own : own + more;
}
