/* SPDX-License-Identifier: MIT */
/* Kernel messages: the guest's console ring, to a file or kept for the last lines. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/machine.h"

#define TAIL_LINES 20
#define load(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)

int console_ring_open(struct machine *m)
{
	const char *path = m->config->console;

	m->console = -1;
	if (!path)
		return 0;
	if (strcmp(path, "-") == 0)
		m->console = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		m->console = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);
	if (m->console < 0) {
		log_error("console %s: %s; name a file that can be written", path, strerror(errno));
		return -1;
	}
	m->control.console->listening = 1;
	return 0;
}

/* Copies ring bytes [from, from + size) out; size is at most the ring. */
static void copy_out(const struct lucid_console *ring, uint64_t from, char *to, size_t size)
{
	size_t at = from % LUCID_CONSOLE_DATA;
	size_t first = LUCID_CONSOLE_DATA - at;

	if (first > size)
		first = size;
	memcpy(to, ring->data + at, first);
	memcpy(to + first, ring->data, size - first);
}

static void write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t done = write(fd, data, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return; /* a full disk or a closed pipe costs messages, not the machine */
		data += done;
		size -= (size_t)done;
	}
}

void console_ring_drain(struct machine *m)
{
	struct lucid_console *ring = m->control.console;
	char data[LUCID_CONSOLE_DATA];
	uint64_t produced = load(&ring->produced);
	uint64_t size = produced - m->console_read;

	if (m->console < 0)
		return;
	if (size > LUCID_CONSOLE_DATA) { /* overrun, or a guest that makes figures up */
		m->console_read = produced - LUCID_CONSOLE_DATA;
		size = LUCID_CONSOLE_DATA;
	}
	copy_out(ring, m->console_read, data, size);
	write_all(m->console, data, size);
	m->console_read = produced;
	__atomic_store_n(&ring->consumed, produced, __ATOMIC_RELEASE);
}

void console_ring_tail(const struct machine *m)
{
	const struct lucid_console *ring = m->control.console;
	char data[LUCID_CONSOLE_DATA];
	uint64_t produced = load(&ring->produced);
	size_t size = produced < LUCID_CONSOLE_DATA ? produced : LUCID_CONSOLE_DATA;
	size_t start = size, lines = 0, i;

	copy_out(ring, produced - size, data, size);
	while (start > 0 && lines <= TAIL_LINES)
		if (data[--start] == '\n')
			lines++;
	if (lines > TAIL_LINES)
		start++;
	/* The user's terminal is not the guest's to steer. */
	for (i = start; i < size; i++)
		if (data[i] != '\n' && data[i] != '\t' && (data[i] < ' ' || data[i] > '~'))
			data[i] = data[i] == '\r' ? ' ' : '?';
	write_all(STDERR_FILENO, data + start, size - start);
}

void console_ring_close(struct machine *m)
{
	if (m->console >= 0)
		close(m->console);
	m->console = -1;
}
