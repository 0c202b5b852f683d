/* SPDX-License-Identifier: MIT */
/* Start, words and verdicts of test guests. */
#include <stdarg.h>

#include "guest/test/lib/test.h"

#define console ((struct lucid_console *)LUCID_CONSOLE_ADDR)

void test_trap_entry(void);
void test_init(void);
extern char test_trap_stack[];

static void put(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		console->data[console->produced % LUCID_CONSOLE_DATA] = s[i];
		__atomic_store_n(&console->produced, console->produced + 1, __ATOMIC_RELEASE);
	}
}

static void put_string(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	put(s, n);
}

static void put_number(uint64_t value, unsigned base)
{
	char digits[32];
	size_t n = sizeof(digits);

	do {
		digits[--n] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	put(digits + n, sizeof(digits) - n);
}

static void vreport(const char *fmt, va_list args)
{
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(fmt, 1);
			continue;
		}
		switch (*++fmt) {
		case 's':
			put_string(va_arg(args, const char *));
			break;
		case 'u':
			put_number(va_arg(args, uint64_t), 10);
			break;
		default:
			put_number(va_arg(args, uint64_t), 16);
		}
	}
	put("\n", 1);
	if (console->listening)
		hc_monitor(LUCID_MC_CONSOLE, 0, 0, 0, 0, 0);
}

void report(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vreport(fmt, args);
	va_end(args);
}

static _Noreturn void off(void)
{
	for (;;)
		hc_monitor(LUCID_MC_SHUTDOWN, LUCID_SHUTDOWN_POWEROFF, 0, 0, 0, 0);
}

_Noreturn void success(void)
{
	report("TEST SUCCESS");
	off();
}

_Noreturn void skip(const char *why)
{
	report("%s", why);
	report("TEST SKIP");
	off();
}

_Noreturn void failure(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vreport(fmt, args);
	va_end(args);
	report("TEST FAILURE");
	off();
}

void check_equal(const char *file, unsigned line, const char *what, uint64_t is, uint64_t should)
{
	if (is != should)
		failure("%s:%u: %s is %x, not %x", file, (uint64_t)line, what, is, should);
}

uint64_t cmdline_number(const char *key, uint64_t otherwise)
{
	const char *at, *k;
	uint64_t value = 0;

	for (at = info->cmdline; *at; at++) {
		const char *s = at;

		for (k = key; *k && *s == *k; k++)
			s++;
		if (*k || *s != '=')
			continue;
		for (s++; *s >= '0' && *s <= '9'; s++)
			value = value * 10 + (uint64_t)(*s - '0');
		return value;
	}
	return otherwise;
}

void test_init(void)
{
	if (info->magic != LUCID_MAGIC || info->version != LUCID_ABI_VERSION)
		failure("not the ABI this was built for");
	memory_init();
	vcpu->kernel_sp = (uint64_t)test_trap_stack;
	vcpu->entry = (uint64_t)test_trap_entry;
	test_main();
	success();
}
