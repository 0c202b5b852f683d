/* SPDX-License-Identifier: MIT */
/* From Unix sockets to the ports of a guest, and back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/rundir.h"
#include "api/server.h"
#include "base/loop.h"
#include "device/vsock.h"
#include "monitor/vsock.h"

#define LINE_MAX_BYTES 32
#define GREETINGS_MAX 32

/* A connection that has not said yet where it leads to. */
struct greeting {
	struct vsock_host *host;
	int fd; /* -1: free */
	unsigned long number; /* the lowest has waited longest */
};

struct vsock_host {
	struct loop *loop;
	struct vsock *device;
	int dir, listener;
	unsigned long count;
	struct greeting greeting[GREETINGS_MAX];
};

static void drop(struct greeting *g)
{
	loop_remove(g->host->loop, g->fd);
	close(g->fd);
	g->fd = -1;
}

/* The port of a whole line at the front of data, with its length; 0: not whole; -1: no such line.
 */
static int parse(const char *data, size_t len, uint32_t *port)
{
	static const char word[] = "CONNECT ";
	const char *newline = memchr(data, '\n', len);
	size_t at = sizeof(word) - 1;
	uint64_t n = 0;

	if (memcmp(data, word, len < at ? len : at) != 0 || (!newline && len == LINE_MAX_BYTES))
		return -1;
	if (!newline)
		return 0;
	for (; data[at] >= '0' && data[at] <= '9'; at++)
		n = 10 * n + (uint64_t)(data[at] - '0');
	if (data + at != newline || at == sizeof(word) - 1 || n > UINT32_MAX)
		return -1;
	*port = (uint32_t)n;
	return (int)at + 1;
}

static void greeting_ready(void *arg, uint32_t events)
{
	struct greeting *g = arg;
	char data[LINE_MAX_BYTES];
	ssize_t n = recv(g->fd, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT);
	uint32_t port;
	int line, fd = g->fd;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	line = n <= 0 ? -1 : parse(data, (size_t)n, &port);
	if (line == 0)
		return;
	/* What follows the line is for the guest. */
	if (line < 0 || recv(fd, data, (size_t)line, MSG_DONTWAIT) != line) {
		drop(g);
		return;
	}
	loop_remove(g->host->loop, fd);
	g->fd = -1;
	vsock_connect(g->host->device, fd, port);
}

static struct greeting *take_place(struct vsock_host *host)
{
	struct greeting *oldest = &host->greeting[0];

	for (int i = 0; i < GREETINGS_MAX; i++) {
		struct greeting *g = &host->greeting[i];

		if (g->fd < 0)
			return g;
		if (g->number < oldest->number)
			oldest = g;
	}
	drop(oldest);
	return oldest;
}

static void listener_ready(void *arg, uint32_t events)
{
	struct vsock_host *host = arg;
	int fd = accept4(host->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct greeting *g;

	(void)events;
	if (fd < 0)
		return;
	if (!api_peer_allowed(fd)) {
		close(fd);
		return;
	}
	g = take_place(host);
	if (loop_add(host->loop, fd, EPOLLIN, greeting_ready, g) < 0) {
		close(fd);
		return;
	}
	g->fd = fd;
	g->number = host->count++;
}

static int open_outward(void *arg, uint32_t port)
{
	struct vsock_host *host = arg;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" RUNDIR_VSOCK "_%u",
		host->dir, port);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

struct vsock_host *vsock_host_create(struct bus *bus, int dir, bool outward)
{
	struct vsock_host *host = calloc(1, sizeof(*host));
	int r;

	if (!host)
		return NULL;
	*host = (struct vsock_host){.loop = bus->loop, .dir = dir, .listener = -1};
	for (int i = 0; i < GREETINGS_MAX; i++)
		host->greeting[i] = (struct greeting){.host = host, .fd = -1};
	host->device = vsock_create(bus, outward ? open_outward : NULL, host);
	r = host->device ? api_listen(dir, RUNDIR_VSOCK) : -errno;
	if (r >= 0) {
		host->listener = r;
		r = loop_add(host->loop, host->listener, EPOLLIN, listener_ready, host);
	}
	if (r >= 0)
		return host;
	vsock_host_destroy(host);
	errno = -r;
	return NULL;
}

void vsock_host_destroy(struct vsock_host *host)
{
	if (!host)
		return;
	for (int i = 0; i < GREETINGS_MAX; i++)
		if (host->greeting[i].fd >= 0)
			drop(&host->greeting[i]);
	if (host->listener >= 0) {
		loop_remove(host->loop, host->listener);
		close(host->listener);
	}
	free(host);
}
