/* SPDX-License-Identifier: MIT */
/* The user's terminal: raw mode, and the way back on every path out. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "monitor/terminal.h"

static struct {
	volatile sig_atomic_t raw;
	int fd;
	struct termios saved;
} terminal;

static const int crash_signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};

/* Called from signal handlers too. */
void terminal_restore(void)
{
	sigset_t ttou, old;

	if (!terminal.raw)
		return;
	terminal.raw = 0;
	/* In the background, the change would stop this process. */
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &old);
	tcsetattr(terminal.fd, TCSANOW, &terminal.saved);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void crashed(int signal)
{
	terminal_restore();
	/* The handler is gone by SA_RESETHAND: this time the signal does what it does. */
	raise(signal);
}

static void catch_crashes(void)
{
	struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_RESETHAND}, old;

	for (size_t i = 0; i < sizeof(crash_signals) / sizeof(crash_signals[0]); i++)
		if (sigaction(crash_signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(crash_signals[i], &action, NULL);
}

bool terminal_raw(int fd)
{
	static bool prepared;
	struct termios raw;

	if (terminal.raw)
		return true;
	if (tcgetattr(fd, &terminal.saved) < 0)
		return false;
	if (!prepared) {
		atexit(terminal_restore);
		catch_crashes();
		prepared = true;
	}
	terminal.fd = fd;
	raw = terminal.saved;
	cfmakeraw(&raw);
	/* Set first: a signal in between then restores what has not changed yet. */
	terminal.raw = 1;
	if (tcsetattr(fd, TCSANOW, &raw) < 0) {
		terminal.raw = 0;
		return false;
	}
	return true;
}

struct agent_winsize terminal_size(int fd)
{
	struct winsize w = {0};

	if (ioctl(fd, TIOCGWINSZ, &w) < 0)
		return (struct agent_winsize){0};
	return (struct agent_winsize){w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel};
}
