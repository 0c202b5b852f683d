/* SPDX-License-Identifier: MIT */
/* A port of the switch between machines; the first one to come starts it. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "monitor/network.h"
#include "serve/lock.h"

#define BUFFER (4 << 20)

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Starts a switch that listens at the address. 0 or -errno. */
static int start(const struct sockaddr_un *address)
{
	const char *const argv[] = {"/proc/self/exe", "switch", address->sun_path, NULL};
	mode_t old;
	int r, fd = new_socket();

	if (fd < 0)
		return -errno;
	/* Machines of this user alone may join. */
	old = umask(0077);
	r = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	if (r == 0)
		r = listen(fd, 64);
	r = r < 0 ? -errno : 0;
	umask(old);
	if (r == 0) {
		r = helper_detach(argv, fd);
		if (r < 0)
			unlink(address->sun_path);
	}
	close(fd);
	return r;
}

/* Connects; where nobody listens, sees to it that somebody does. A socket or -errno. */
static int join(const struct sockaddr_un *address)
{
	for (bool started = false;; started = true) {
		struct stat st;
		int fd = new_socket(), r;

		if (fd < 0)
			return -errno;
		if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
			return fd;
		r = -errno;
		close(fd);
		if (started || (r != -ENOENT && r != -ECONNREFUSED))
			return r;
		/* The socket of a switch that was killed. */
		if (r == -ECONNREFUSED &&
			(lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode)))
			return -ENOTSOCK;
		if (r == -ECONNREFUSED)
			unlink(address->sun_path);
		r = start(address);
		if (r < 0)
			return r;
	}
}

static const char *words(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return "its folder is missing; make it";
	case EACCES:
	case EPERM:
		return "no permission; choose a path in a folder of yours";
	case ENOTSOCK:
		return "is a file; choose another path";
	case EPROTOTYPE:
		return "is another program's socket; choose another path";
	default:
		return strerror(error);
	}
}

struct net_link *switch_join(const char *path, const char **why)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int buffer = BUFFER;
	int lock, fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		*why = "the path is too long; give one of at most 107 bytes";
		return NULL;
	}
	strcpy(address.sun_path, path);
	lock = lock_folder_of(path);
	if (lock < 0) {
		*why = words(-lock);
		return NULL;
	}
	fd = join(&address);
	close(lock);
	if (fd < 0) {
		*why = words(-fd);
		return NULL;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	*why = "not enough memory";
	return net_packet(fd);
}
