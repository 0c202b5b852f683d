/* SPDX-License-Identifier: MIT */
/* A learning switch between machines, over one socket. */
#include "serve/switch.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/allow.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/process.h"
#include "serve/lock.h"

#define PORTS_MAX 256
#define PLACES 1024 /* addresses that are remembered; a power of two */
#define HEADER 12 /* virtio-net's */
#define FRAME_MIN (HEADER + 14)
#define FRAME_MAX (HEADER + 65535 + 18)
#define BUFFER (4 << 20)
#define TURN_FRAMES 64

struct port {
	struct network_switch *net;
	int fd; /* -1: free */
};

struct network_switch {
	struct loop *loop;
	int listener;
	const char *path;
	struct port port[PORTS_MAX];
	unsigned ports;
	/* Where an address was last seen: a port's number, and the address to be sure. */
	struct {
		uint8_t mac[6];
		bool known;
		uint16_t port;
	} place[PLACES];
	uint8_t frame[FRAME_MAX + 1];
};

static unsigned place_of(const uint8_t mac[6])
{
	uint32_t hash = 2166136261U;

	for (unsigned i = 0; i < 6; i++)
		hash = (hash ^ mac[i]) * 16777619U;
	return (hash ^ hash >> 16) % PLACES;
}

static void learn(struct network_switch *net, const uint8_t mac[6], unsigned port)
{
	unsigned p = place_of(mac);

	if (mac[0] & 1) /* nobody is a group */
		return;
	memcpy(net->place[p].mac, mac, 6);
	net->place[p].known = true;
	net->place[p].port = (uint16_t)port;
}

/* A receiver that is full loses the frame, as on a wire: it must not hold up the others. */
static void give(const struct network_switch *net, unsigned port, size_t len)
{
	if (net->port[port].fd >= 0)
		send(net->port[port].fd, net->frame, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void forward(struct network_switch *net, unsigned from, size_t len)
{
	const uint8_t *to = net->frame + HEADER;
	unsigned p = place_of(to);

	learn(net, to + 6, from);
	if (!(to[0] & 1) && net->place[p].known && memcmp(net->place[p].mac, to, 6) == 0) {
		if (net->place[p].port != from)
			give(net, net->place[p].port, len);
		return;
	}
	for (unsigned i = 0; i < PORTS_MAX; i++)
		if (i != from)
			give(net, i, len);
}

/* Nobody is left: the next machine starts a new one. */
static void end_if_empty(struct network_switch *net)
{
	int lock, fd;

	if (net->ports > 0)
		return;
	/* Machines connect under this lock: none comes between the look and the end. */
	lock = lock_folder_of(net->path);
	fd = accept4(net->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		unlink(net->path);
		loop_stop(net->loop, 0);
	} else {
		close(fd); /* cannot be: accepted ones come first */
	}
	if (lock >= 0)
		close(lock);
}

static void unplug(struct port *port)
{
	struct network_switch *net = port->net;
	unsigned number = (unsigned)(port - net->port);

	loop_remove(net->loop, port->fd);
	close(port->fd);
	port->fd = -1;
	net->ports--;
	for (unsigned i = 0; i < PLACES; i++)
		if (net->place[i].port == number)
			net->place[i].known = false;
}

static void on_port(void *arg, uint32_t events)
{
	struct port *port = arg;
	struct network_switch *net = port->net;

	(void)events;
	for (unsigned turn = 0; turn < TURN_FRAMES; turn++) {
		ssize_t n = recv(port->fd, net->frame, sizeof(net->frame), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			unplug(port);
			loop_change(net->loop, net->listener, EPOLLIN);
			end_if_empty(net);
			return;
		}
		if (n >= FRAME_MIN && n <= FRAME_MAX)
			forward(net, (unsigned)(port - net->port), (size_t)n);
	}
}

static void on_listener(void *arg, uint32_t events)
{
	struct network_switch *net = arg;
	const int buffer = BUFFER;
	unsigned i = 0;
	int fd;

	(void)events;
	while (i < PORTS_MAX && net->port[i].fd >= 0)
		i++;
	if (i == PORTS_MAX) { /* until one leaves */
		loop_change(net->loop, net->listener, 0);
		return;
	}
	fd = accept4(net->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	net->port[i].fd = fd;
	net->ports++;
	if (loop_add(net->loop, fd, EPOLLIN, on_port, &net->port[i]) < 0)
		unplug(&net->port[i]);
}

/* What it handles are frames of guests: it gets no more than it needs. */
static int confine(void)
{
	static const int allowed[] = {
		SCMP_SYS(epoll_wait),
		SCMP_SYS(epoll_pwait),
		SCMP_SYS(epoll_ctl),
		SCMP_SYS(accept4),
		SCMP_SYS(recvfrom),
		SCMP_SYS(sendto),
		SCMP_SYS(setsockopt),
		SCMP_SYS(openat),
		SCMP_SYS(flock),
		SCMP_SYS(unlink),
		SCMP_SYS(close),
		SCMP_SYS(clock_nanosleep),
		SCMP_SYS(brk),
		SCMP_SYS(mmap),
		SCMP_SYS(munmap),
		SCMP_SYS(write),
		SCMP_SYS(exit_group),
	};
	scmp_filter_ctx list;
	int err = allow_list(&list, allowed, sizeof(allowed) / sizeof(allowed[0]));

	process_limit();
	if (!err)
		err = process_hide();
	return err ? err : allow_only(list);
}

/*
 * Whoever starts a switch holds the lock until it has joined. If it was killed before that, and
 * nobody else has come, there would be no one whose leaving ends the switch.
 */
static bool has_begun(const struct network_switch *net)
{
	struct pollfd waiting = {.fd = net->listener, .events = POLLIN};
	int lock = lock_folder_of(net->path);
	bool begun = lock < 0 || poll(&waiting, 1, 0) != 0;

	if (!begun)
		unlink(net->path);
	if (lock >= 0)
		close(lock);
	return begun;
}

int switch_serve(int listener, const char *path)
{
	static struct network_switch net;

	prctl(PR_SET_NAME, "lucid-switch");
	net.listener = listener;
	net.path = path;
	for (unsigned i = 0; i < PORTS_MAX; i++)
		net.port[i] = (struct port){.net = &net, .fd = -1};
	if (!has_begun(&net))
		return 0;
	net.loop = loop_create();
	if (!net.loop || loop_add(net.loop, listener, EPOLLIN, on_listener, &net) < 0 ||
		confine() < 0)
		return EXIT_LUCID;
	loop_run(net.loop);
	return 0;
}
