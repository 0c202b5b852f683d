/* SPDX-License-Identifier: MIT */
/* The signals that a session takes over, read through a signalfd. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "monitor/session_signals.h"

static void signals_readable(void *arg, uint32_t events)
{
	struct session_signals *s = arg;
	struct signalfd_siginfo info;

	(void)events;
	/* One at a time: the loop comes back for the next, if this one has not ended all. */
	if (read(s->fd, &info, sizeof(info)) == sizeof(info))
		s->handle(s->arg, (int)info.ssi_signo);
}

static void fill_set(sigset_t *set, bool tty)
{
	static const int all[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		sigaddset(set, all[i]);
	/* Without raw mode to undo, stopping needs no help. */
	if (tty)
		sigaddset(set, SIGTSTP);
}

int session_signals_open(struct session_signals *s, struct loop *loop, bool tty,
	void (*handle)(void *arg, int signal), void *arg)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t set;
	int r;

	s->loop = NULL;
	s->handle = handle;
	s->arg = arg;
	fill_set(&set, tty);
	s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->fd < 0)
		return -errno;
	r = loop_add(loop, s->fd, EPOLLIN, signals_readable, s);
	if (r < 0) {
		close(s->fd);
		return r;
	}
	s->loop = loop;
	sigprocmask(SIG_BLOCK, &set, &s->old_mask);
	sigaction(SIGPIPE, &ignore, &s->old_pipe);
	return 0;
}

void session_signals_close(struct session_signals *s)
{
	if (!s->loop)
		return;
	loop_remove(s->loop, s->fd);
	close(s->fd);
	sigaction(SIGPIPE, &s->old_pipe, NULL);
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	s->loop = NULL;
}
