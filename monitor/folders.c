/* SPDX-License-Identifier: MIT */
/* Starts a server for each folder, which gets guest RAM and one socket, and its device. */
#include "monitor/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "device/fs.h"

#define BUFFER (1 << 20)

static void server_gone(void *arg)
{
	const struct vm_folder *folder = arg;

	log_warn(
		"the server of folder %s has ended; the guest gets I/O errors there", folder->path);
}

/* Sends guest RAM, the first message that the server waits for. */
static int send_ram(int socket, const struct ram *ram)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(void *)(uintptr_t)&ram->size, sizeof(ram->size)};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.header), &ram->fd, sizeof(ram->fd));
	return sendmsg(socket, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int start(struct bus *bus, const struct vm_folder *folder, const struct vm_command *command,
	const char *tag, struct helpers *helpers)
{
	const int buffer = BUFFER;
	char uid[16], gid[16];
	int fd[2], r;

	snprintf(uid, sizeof(uid), "%u", command->uid);
	snprintf(gid, sizeof(gid), "%u", command->gid);
	const char *const argv[] = {"/proc/self/exe", "folder", folder->path,
		folder->read_only ? "ro" : "rw", uid, gid, NULL};

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0)
		return -errno;
	setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	/* The server's end blocks, ours does not. */
	r = fcntl(fd[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (r == 0)
		r = helper_start(helpers, argv, fd[1], NULL, NULL);
	close(fd[1]);
	if (r == 0)
		r = send_ram(fd[0], bus->ram);
	if (r < 0) {
		close(fd[0]);
		return r;
	}
	return fs_create(bus, tag, fd[0], server_gone, (void *)(uintptr_t)folder) ? 0 : -errno;
}

int folders_create(struct bus *bus, const struct vm_config *config, struct helpers *helpers)
{
	for (unsigned i = 0; i < config->folders; i++) {
		const struct vm_folder *folder = &config->folder[i];
		char tag[32];
		int r;

		snprintf(tag, sizeof(tag), "%s%u", AGENT_FOLDER_TAG, i);
		r = start(bus, folder, &config->command, tag, helpers);
		if (r < 0) {
			log_error("folder %s: %s", folder->path,
				r == -ENOSPC ? "there are too many devices; give fewer"
					     : strerror(-r));
			return -1;
		}
	}
	return 0;
}
