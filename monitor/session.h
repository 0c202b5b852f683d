/* SPDX-License-Identifier: MIT */
/*
 * A session: the host's end of the agent's streams. It joins Lucid's own stdin, stdout and
 * stderr with the guest's command, passes on signals and the window's size, and learns how the
 * command ended.
 *
 * It owns SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH and SIGCONT of this
 * process, and SIGTSTP with a terminal: blocked, and read in the loop. The first SIGTERM ends the
 * command and powers the guest off, a second one asks for the machine's death. It ignores
 * SIGPIPE. Processes made after session_create() inherit both.
 *
 * After session_create(), it uses these system calls and none that opens a file: close,
 * clock_gettime, epoll_ctl, fcntl, getpid, ioctl, kill, poll, read, recvfrom, rt_sigaction,
 * rt_sigprocmask, sendto, timerfd_settime, write.
 */
#ifndef MONITOR_SESSION_H
#define MONITOR_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/agent.h"
#include "base/loop.h"
#include "device/bus.h"
#include "monitor/vm.h"

struct session;

enum session_end {
	/*
	 * The command has ended and all of its output is written; status is its own (128 +
	 * signal). The guest is about to power off: let it, it writes back its disks.
	 */
	SESSION_EXITED,
	/*
	 * The command could not be run, its output not be written, or the guest does not speak
	 * the protocol. Has been reported; status is 125, 126 or 127. After 126 and 127, and in
	 * most other cases, the guest powers off by itself; it need not be waited for.
	 */
	SESSION_FAILED,
	/* The user wants the machine gone at once; status is 128 + signal. */
	SESSION_KILLED,
	/* The machine stopped before the command's end was known. Not reported; status is 125. */
	SESSION_LOST,
};

/*
 * Called once, from the loop; but after EXITED or FAILED, KILLED may follow while the guest is
 * powering off; and see session_machine_stopped(). Must not destroy the session.
 */
typedef void session_end_fn(void *arg, enum session_end why, int status);

/*
 * Puts the console device on the bus and takes over the standard streams. setup and what it
 * points to are not needed any more on return. NULL after a reported error.
 */
struct session *session_create(struct bus *bus, struct loop *loop, const struct vm_setup *setup,
	session_end_fn *on_end, void *arg);

/*
 * Restores the terminal and the signals. Call it before loop_destroy(); whether before or after
 * bus_destroy() does not matter, as long as nothing of the guest is handled in between.
 */
void session_destroy(struct session *session);

/* As the first SIGTERM: ends the command, SIGTERM first, and powers off. For --timeout. */
void session_shutdown(struct session *session);

/* Sends a signal to the command's process group; dropped unless the command runs. */
void session_signal(struct session *session, int signal);

/* The command's terminal has this size now; no effect without one. */
void session_resize(struct session *session, const struct agent_winsize *size);

/* Calls fn once, from the loop, when the command has been executed. */
void session_on_started(struct session *session, void (*fn)(void *arg), void *arg);

/* Whether the command runs: it has started and not ended. */
bool session_running(const struct session *session);

/*
 * The guest has stopped by itself. What it has left in the queues is still written, as long as
 * that takes, and then on_end() is called from the loop: keep the bus until then. If on_end() had
 * been called before, it is called again, with the same end, before this returns.
 */
void session_machine_stopped(struct session *session);

/* When the agent said HELLO, CLOCK_MONOTONIC in ns; 0: not yet. */
uint64_t session_hello_time(const struct session *session);

#endif
