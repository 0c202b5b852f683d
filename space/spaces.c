/* SPDX-License-Identifier: MIT */
/* Orders to the zygote, kicks, and the end of spaces. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "space/space.h"
#include "space/zygote.h"

int spaces_create(struct spaces *spaces, const struct space_config *config)
{
	int pair[2], err;

	*spaces = (struct spaces){.order = -1};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	spaces->zygote = fork();
	if (spaces->zygote == 0)
		zygote_main(config, pair[1]);
	spaces->group = spaces->zygote;
	err = spaces->zygote < 0 ? -errno : 0;
	close(pair[1]);
	if (err) {
		spaces->zygote = 0;
		close(pair[0]);
		return err;
	}
	spaces->order = pair[0];
	return 0;
}

/* One order and its answer; -EPIPE: the zygote has gone. */
static long order(const struct spaces *spaces, unsigned slot, pid_t pid)
{
	const struct stub_order order = {slot, (unsigned)pid};
	long answer;

	if (send(spaces->order, &order, sizeof(order), MSG_NOSIGNAL) != sizeof(order) ||
		recv(spaces->order, &answer, sizeof(answer), MSG_WAITALL) != sizeof(answer))
		return -EPIPE;
	return answer;
}

long spaces_tables(const struct spaces *spaces, unsigned slot)
{
	if (slot >= STUB_SLOTS || !spaces->pid[slot])
		return -EINVAL;
	return order(spaces, slot, spaces->pid[slot]);
}

pid_t spaces_twin(struct spaces *spaces, unsigned slot)
{
	long pid;

	if (slot >= STUB_SLOTS || !spaces->pid[slot])
		return 0;
	if (!spaces->twin[slot]) {
		pid = order(spaces, STUB_SLOTS, spaces->pid[slot]);
		spaces->twin[slot] = pid > 0 ? (pid_t)pid : 0;
	}
	return spaces->twin[slot];
}

int spaces_make(struct spaces *spaces, unsigned slot)
{
	long pid;

	if (slot >= STUB_SLOTS || spaces->pid[slot])
		return -EINVAL;
	pid = order(spaces, slot, 0);
	if (pid < 0)
		return (int)pid;
	spaces->pid[slot] = (pid_t)pid;
	return 0;
}

void spaces_kick(const struct spaces *spaces, unsigned slot)
{
	if (slot < STUB_SLOTS && spaces->pid[slot])
		kill(spaces->pid[slot], STUB_KICK_SIGNAL);
}

int spaces_forget(struct spaces *spaces, pid_t pid)
{
	unsigned i;

	if (pid == spaces->zygote) {
		spaces->zygote = 0;
		return STUB_SLOTS;
	}
	for (i = 0; i < STUB_SLOTS; i++) {
		if (spaces->pid[i] == pid) {
			spaces->pid[i] = spaces->twin[i] = 0;
			return (int)i;
		}
	}
	return -1;
}

static void end(pid_t *pid)
{
	if (*pid > 0) {
		while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	*pid = 0;
}

void spaces_kill(const struct spaces *spaces)
{
	unsigned i;

	if (spaces->zygote)
		kill(spaces->zygote, SIGKILL);
	for (i = 0; i < STUB_SLOTS; i++)
		if (spaces->pid[i])
			kill(spaces->pid[i], SIGKILL);
}

void spaces_destroy(struct spaces *spaces)
{
	unsigned i;

	/* All are told before any is waited for: they end side by side. */
	spaces_kill(spaces);
	end(&spaces->zygote);
	for (i = 0; i < STUB_SLOTS; i++)
		end(&spaces->pid[i]);
	/* Twins end with their spaces, and are ours since. */
	while (spaces->group > 0 && (waitpid(-spaces->group, NULL, 0) > 0 || errno == EINTR))
		;
	if (spaces->order >= 0)
		close(spaces->order);
	spaces->order = -1;
}
