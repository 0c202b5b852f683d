/* SPDX-License-Identifier: MIT */
/* The virtio-console ports: found by name, waited for without polling. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent/agent.h"

#define WAIT_MS 10000
#define PORTS_DIR "/sys/class/virtio-ports"

static const char *const port_name[PORT_COUNT] = {
	[PORT_CONTROL] = AGENT_PORT_CONTROL,
	[PORT_STDIN] = AGENT_PORT_STDIN,
	[PORT_STDOUT] = AGENT_PORT_STDOUT,
	[PORT_STDERR] = AGENT_PORT_STDERR,
};

/* Opens the device if its name is one of ours. */
static void open_if_ours(int fd[PORT_COUNT], int last, const char *device)
{
	char path[320], name[64];
	ssize_t n;
	int f;

	snprintf(path, sizeof(path), PORTS_DIR "/%s/name", device);
	f = open(path, O_RDONLY | O_CLOEXEC);
	if (f < 0)
		return;
	n = read(f, name, sizeof(name) - 1);
	close(f);
	if (n <= 0)
		return; /* not told by the host yet */
	name[n] = 0;
	name[strcspn(name, "\n")] = 0;

	for (int i = 0; i <= last; i++) {
		if (fd[i] >= 0 || strcmp(name, port_name[i]) != 0)
			continue;
		snprintf(path, sizeof(path), "/dev/%s", device);
		fd[i] = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	}
}

static bool ports_scan(int fd[PORT_COUNT], int last)
{
	struct dirent *entry;
	DIR *dir = opendir(PORTS_DIR);

	if (!dir)
		return false;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			open_if_ours(fd, last, entry->d_name);
	closedir(dir);

	for (int i = 0; i <= last; i++)
		if (fd[i] < 0)
			return false;
	return true;
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A socket that becomes readable when the kernel adds or changes a device. */
static int uevent_socket(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int s = socket(
		AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (s >= 0 && bind(s, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(s);
		s = -1;
	}
	return s;
}

/* Calls ready() until it returns true: at once, then after each change among the devices. */
static bool wait_until(bool (*ready)(void *arg), void *arg)
{
	long end = now_ms() + WAIT_MS, left;
	char drop[256];
	int s;

	if (ready(arg))
		return true;
	s = uevent_socket();
	/* Asked again, since the change may have come before the socket. */
	while (!ready(arg)) {
		struct pollfd p = {.fd = s, .events = POLLIN};

		left = end - now_ms();
		if (left <= 0) {
			close(s);
			return false;
		}
		/* Without netlink in the kernel, look now and then. */
		poll(&p, 1, s < 0 ? 10 : (int)left);
		while (s >= 0 && recv(s, drop, sizeof(drop), 0) > 0)
			;
	}
	close(s);
	return true;
}

struct scan {
	int *fd;
	int last;
};

static bool scan_ready(void *arg)
{
	struct scan *scan = arg;

	return ports_scan(scan->fd, scan->last);
}

int ports_open(int fd[PORT_COUNT], int last, struct failure *f)
{
	struct scan scan = {fd, last};

	if (wait_until(scan_ready, &scan))
		return 0;
	for (int i = 0; i <= last; i++)
		if (fd[i] < 0)
			return failure_set(f, 125, "the guest has no port %s", port_name[i]);
	return 0;
}

static bool node_ready(void *arg)
{
	return access(arg, F_OK) == 0;
}

int device_wait(const char *path, struct failure *f)
{
	char copy[64];

	snprintf(copy, sizeof(copy), "%s", path);
	if (wait_until(node_ready, copy))
		return 0;
	return failure_set(f, 125, "the guest has no disk %s", path);
}
