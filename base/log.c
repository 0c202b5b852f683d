/* SPDX-License-Identifier: MIT */
/* The lines that Lucid says to its user, each in one write, so that lines never mix. */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

#define LINE_MAX_BYTES 1024

static bool verbose;
static int out = STDERR_FILENO;

/*
 * Formats and writes one line. Part of it may come from the guest (a name, a
 * number read from a ring), so control characters are not passed to the terminal.
 */
__attribute__((format(printf, 2, 0))) static void say(
	const char *prefix, const char *fmt, va_list ap)
{
	int saved = errno;
	char line[LINE_MAX_BYTES];
	size_t len = (size_t)snprintf(line, sizeof(line), "lucid: %s", prefix);
	size_t room = sizeof(line) - len - 1;

	int n = vsnprintf(line + len, room, fmt, ap);
	if (n > 0)
		len += (size_t)n < room ? (size_t)n : room - 1;
	text_clean(line, len);
	line[len++] = '\n';

	/* Nobody is left to tell when that fails. */
	for (size_t done = 0; done < len;) {
		ssize_t w = write(out, line + done, len - done);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			break;
		done += (size_t)w;
	}
	errno = saved;
}

void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("warning: ", fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (!verbose)
		return;
	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
}

void log_set_fd(int fd)
{
	out = fd;
}

void log_set_verbose(int on)
{
	verbose = on != 0;
}

void log_bug_at(const char *file, int line, const char *what)
{
	log_error("bug at %s:%d: %s", file, line, what);
	abort();
}
