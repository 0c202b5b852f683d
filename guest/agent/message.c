/* SPDX-License-Identifier: MIT */
/* Messages on the control port. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/agent/agent.h"

int failure_set(struct failure *f, uint32_t status, const char *fmt, ...)
{
	va_list ap;

	f->error.status = status;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return -1;
}

size_t failure_size(const struct failure *f)
{
	return offsetof(struct failure, text) + strnlen(f->text, sizeof(f->text));
}

int message_send(int fd, uint32_t type, const void *body, size_t length)
{
	struct agent_header header = {.type = type, .length = length};
	char data[sizeof(header) + AGENT_GUEST_MAX];
	size_t size = sizeof(header) + length, sent = 0;

	if (length > AGENT_GUEST_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	memcpy(data, &header, sizeof(header));
	if (length)
		memcpy(data + sizeof(header), body, length);
	while (sent < size) {
		ssize_t n = write(fd, data + sent, size - sent);

		if (n > 0) {
			sent += n;
		} else if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};

			if (poll(&p, 1, -1) > 0 && !(p.revents & POLLOUT))
				return -1; /* the host has hung up */
		} else if (n == 0 || errno != EINTR) {
			return -1;
		}
	}
	return 0;
}

int message_send_failure(int fd, const struct failure *f)
{
	return message_send(fd, AGENT_ERROR, f, failure_size(f));
}

/* Reads up to the byte of the message with this number. 1: they are there. */
static int receive_until(struct message *m, int fd, char *base, size_t end)
{
	while (m->have < end) {
		ssize_t n = read(fd, base + m->have, end - m->have);

		if (n > 0)
			m->have += n;
		else if (n < 0 && errno == EAGAIN)
			return 0;
		else if (n == 0)
			return errno = EPIPE, -1;
		else if (errno != EINTR)
			return -1;
	}
	return 1;
}

int message_receive(struct message *m, int fd)
{
	const size_t head = sizeof(m->header);
	int r;

	r = receive_until(m, fd, (char *)&m->header, head);
	if (r <= 0)
		return r;
	if (m->header.length > AGENT_HOST_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	if (!m->body) {
		m->body = malloc((size_t)m->header.length + 1);
		if (!m->body)
			return -1;
		m->body[m->header.length] = 0;
	}
	/* have counts the header too. */
	return receive_until(m, fd, m->body - head, head + m->header.length);
}

void message_clear(struct message *m)
{
	free(m->body);
	memset(m, 0, sizeof(*m));
}
