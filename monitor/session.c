/* SPDX-License-Identifier: MIT */
/*
 * A session, from the agent's HELLO to the command's status.
 *
 * The console's ports are separate queues, so their order among each other means nothing: the
 * EXITED message may overtake output. It carries the number of bytes that were sent, and the
 * session ends when it has written as many.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "device/console.h"
#include "monitor/session.h"
#include "monitor/session_proto.h"
#include "monitor/session_signals.h"
#include "monitor/stdio.h"
#include "monitor/terminal.h"

enum { PORT_CONTROL, PORT_STDIN, PORT_STDOUT, PORT_STDERR, PORT_COUNT };

/* What may wait for a guest that does not read its messages; more is dropped. */
#define BACKLOG_MAX 4096

/* A stopped machine whose queues have been silent for as long has nothing left in them. */
#define QUIET_NS 50000000

enum state {
	BOOTING, /* until HELLO */
	STARTING, /* until STARTED */
	RUNNING, /* until EXITED */
	DRAINING, /* until all output is there */
	ENDED,
};

struct stream {
	struct session *session;
	unsigned port;
	struct outlet outlet;
	uint64_t bytes; /* from the guest */
};

struct session {
	struct loop *loop;
	struct console *console;
	enum state state;
	bool tty, shutdown, stdin_open, killed;
	struct stream out[2];
	struct inlet in;
	struct session_signals signals;
	struct proto_parser parser;
	struct agent_exited exited;
	char *pending; /* control bytes to be sent */
	size_t pending_len;
	int quiet_timer; /* set once the machine has stopped */
	uint64_t quiet_bytes; /* of both streams, when the timer was set */
	uint64_t hello_time;
	enum session_end why; /* once ENDED */
	int status;
	session_end_fn *on_end;
	void *arg;
	void (*on_started)(void *arg);
	void *on_started_arg;
};

/* ---- The end --------------------------------------------------------------------- */

static void end(struct session *s, enum session_end why, int status)
{
	if (s->killed || (s->state == ENDED && why != SESSION_KILLED))
		return;
	s->killed = why == SESSION_KILLED;
	s->state = ENDED;
	s->why = why;
	s->status = status;
	inlet_close(&s->in, false);
	terminal_restore();
	s->on_end(s->arg, why, status);
}

static void flush_control(struct session *s)
{
	size_t n;

	if (!s->pending_len)
		return;
	n = console_send(s->console, PORT_CONTROL, s->pending, s->pending_len);
	s->pending_len -= n;
	memmove(s->pending, s->pending + n, s->pending_len);
}

static void send_message(struct session *s, uint32_t type, const void *body, size_t length)
{
	struct agent_header header = {.type = type, .length = length};
	size_t size = sizeof(header) + length;
	char *grown;

	if (s->pending_len > BACKLOG_MAX)
		return;
	grown = realloc(s->pending, s->pending_len + size);
	if (!grown)
		return;
	s->pending = grown;
	memcpy(grown + s->pending_len, &header, sizeof(header));
	if (length)
		memcpy(grown + s->pending_len + sizeof(header), body, length);
	s->pending_len += size;
	flush_control(s);
}

/* Output that was lost is an error, unless its reader wanted no more. */
static bool output_failed(const struct stream *stream)
{
	return stream->outlet.error && stream->outlet.error != EPIPE;
}

static void end_if_drained(struct session *s)
{
	static const char *const name[] = {"stdout", "stderr"};

	if (s->state != DRAINING || s->out[0].bytes < s->exited.stdout_bytes ||
		s->out[1].bytes < s->exited.stderr_bytes)
		return;
	for (int i = 0; i < 2; i++) {
		if (!output_failed(&s->out[i]))
			continue;
		log_error("cannot write to %s: %s", name[i], strerror(s->out[i].outlet.error));
		end(s, SESSION_FAILED, EXIT_LUCID);
	}
	send_message(s, AGENT_DONE, NULL, 0);
	end(s, SESSION_EXITED, (int)s->exited.status);
}

static void protocol_error(struct session *s, const char *what)
{
	log_error("the guest's agent %s; are its kernel and initramfs of this Lucid?", what);
	end(s, SESSION_FAILED, EXIT_LUCID);
}

/* ---- To the agent ------------------------------------------------------------------ */

void session_signal(struct session *s, int signal)
{
	struct agent_signal body = {.signal = signal};

	if (s->state == RUNNING)
		send_message(s, AGENT_SIGNAL, &body, sizeof(body));
}

void session_shutdown(struct session *s)
{
	s->shutdown = true;
	/* Before STARTED, it is sent on STARTED. */
	if (s->state == RUNNING)
		send_message(s, AGENT_SHUTDOWN, NULL, 0);
}

void session_resize(struct session *s, const struct agent_winsize *size)
{
	if (s->tty && s->state == RUNNING)
		send_message(s, AGENT_WINSIZE, size, sizeof(*size));
}

static void send_winsize(struct session *s)
{
	struct agent_winsize size = terminal_size(STDIN_FILENO);

	session_resize(s, &size);
}

static void send_closed(struct session *s, const struct stream *stream)
{
	struct agent_closed body = {.stream = stream->port == PORT_STDOUT ? 1 : 2};

	if (s->state == RUNNING)
		send_message(s, AGENT_CLOSED, &body, sizeof(body));
}

/* ---- From the agent ------------------------------------------------------------------ */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void hello(struct session *s, const struct proto_message *m)
{
	if (s->state != BOOTING) {
		protocol_error(s, "says HELLO twice");
	} else if (m->hello.version != AGENT_VERSION) {
		log_error("the guest's agent speaks version %u, this Lucid %d; build both anew",
			m->hello.version, AGENT_VERSION);
		end(s, SESSION_FAILED, EXIT_LUCID);
	} else {
		s->hello_time = now_ns();
		s->state = STARTING;
		flush_control(s); /* START has been waiting there */
	}
}

static void run_inlet(struct session *s)
{
	if (s->state == RUNNING && s->stdin_open)
		inlet_run(&s->in);
}

static void started(struct session *s)
{
	if (s->state != STARTING) {
		protocol_error(s, "says STARTED out of turn");
		return;
	}
	s->state = RUNNING;
	if (s->tty && isatty(STDIN_FILENO)) {
		if (!terminal_raw(STDIN_FILENO))
			log_warn("cannot make the terminal raw: %s", strerror(errno));
		send_winsize(s); /* it may have changed during the boot */
	}
	for (int i = 0; i < 2; i++)
		if (s->out[i].outlet.error)
			send_closed(s, &s->out[i]);
	if (s->shutdown)
		send_message(s, AGENT_SHUTDOWN, NULL, 0);
	if (s->on_started)
		s->on_started(s->on_started_arg);
	run_inlet(s);
}

static void handle_message(struct session *s, const struct proto_message *m)
{
	switch (m->type) {
	case AGENT_HELLO:
		hello(s, m);
		return;
	case AGENT_STARTED:
		started(s);
		return;
	case AGENT_EXITED:
		if (s->state != RUNNING) {
			protocol_error(s, "says EXITED out of turn");
			return;
		}
		s->exited = m->exited;
		s->state = DRAINING;
		inlet_close(&s->in, false);
		end_if_drained(s);
		return;
	default: /* AGENT_ERROR: the parser lets nothing else through */
		terminal_restore();
		log_error("%s", m->text);
		end(s, SESSION_FAILED, (int)m->error.status);
	}
}

static size_t control_output(void *arg, const void *data, size_t len)
{
	struct session *s = arg;
	struct proto_message m;
	const char *bytes = data;
	size_t done = 0, used;

	/* Of what comes after the end, nothing matters. */
	while (done < len && s->state < DRAINING) {
		int r = proto_parse(&s->parser, bytes + done, len - done, &used, &m);

		done += used;
		if (r < 0)
			protocol_error(s, "sent something that is no message");
		else if (r > 0)
			handle_message(s, &m);
	}
	return len;
}

static void control_writable(void *arg)
{
	struct session *s = arg;

	if (s->state >= STARTING)
		flush_control(s);
}

/* ---- Streams ----------------------------------------------------------------------------- */

static size_t stream_output(void *arg, const void *data, size_t len)
{
	struct stream *stream = arg;
	size_t n;

	if (stream->session->state == ENDED)
		return len;
	n = outlet_write(&stream->outlet, data, len);
	stream->bytes += n;
	end_if_drained(stream->session);
	return n;
}

static void outlet_ready(void *arg)
{
	struct stream *stream = arg;

	console_resume(stream->session->console, stream->port);
}

static void outlet_gone(void *arg)
{
	struct stream *stream = arg;

	send_closed(stream->session, stream);
}

/* The port goes the other way: an agent that writes there is not ours. */
static size_t stdin_output(void *arg, const void *data, size_t len)
{
	struct session *s = arg;

	(void)data;
	if (s->state < DRAINING)
		protocol_error(s, "writes to the command's input");
	return len;
}

static void stdin_opened(void *arg, bool open)
{
	struct session *s = arg;

	if (!open && s->stdin_open && s->state == RUNNING)
		inlet_close(&s->in, !s->tty); /* the command reads no more */
	s->stdin_open = open;
	run_inlet(s);
}

static void stdin_writable(void *arg)
{
	run_inlet(arg);
}

static size_t inlet_give(void *arg, const void *data, size_t len)
{
	struct session *s = arg;

	return console_send(s->console, PORT_STDIN, data, len);
}

static void inlet_ended(void *arg)
{
	struct session *s = arg;

	console_hangup(s->console, PORT_STDIN);
}

/* ---- Signals ------------------------------------------------------------------------------ */

static void handle_signal(void *arg, int signal)
{
	struct session *s = arg;

	switch (signal) {
	case SIGWINCH:
		send_winsize(s);
		return;
	case SIGTSTP:
	case SIGCONT:
		if (!s->tty || s->state != RUNNING)
			return;
		if (signal == SIGTSTP) {
			terminal_restore();
			kill(getpid(), SIGSTOP);
		}
		/* Whoever had the terminal meanwhile may have changed it. */
		terminal_restore();
		terminal_raw(STDIN_FILENO);
		send_winsize(s);
		return;
	case SIGUSR1:
	case SIGUSR2:
		session_signal(s, signal);
		return;
	}
	/* TERM, INT, HUP, QUIT: in the boot and after the end there is no command to tell. */
	if (s->state != RUNNING || (signal == SIGTERM && s->shutdown))
		end(s, SESSION_KILLED, 128 + signal);
	else if (signal == SIGTERM || (signal == SIGHUP && s->tty))
		session_shutdown(s);
	else
		session_signal(s, signal);
}

/* ---- A machine that has stopped ------------------------------------------------------------ */

static void set_quiet_timer(struct session *s)
{
	const struct itimerspec t = {.it_value.tv_nsec = QUIET_NS};

	s->quiet_bytes = s->out[0].bytes + s->out[1].bytes;
	timerfd_settime(s->quiet_timer, 0, &t, NULL);
}

static void quiet_timer_fired(void *arg, uint32_t events)
{
	struct session *s = arg;
	uint64_t count;

	(void)events;
	if (read(s->quiet_timer, &count, sizeof(count)) < 0 || s->state == ENDED)
		return;
	if (s->out[0].outlet.blocked || s->out[1].outlet.blocked ||
		s->quiet_bytes != s->out[0].bytes + s->out[1].bytes) {
		set_quiet_timer(s);
	} else if (s->state == DRAINING) {
		/* The agent counted more than there was; what there was, is written. */
		s->exited.stdout_bytes = s->exited.stderr_bytes = 0;
		end_if_drained(s);
	} else {
		end(s, SESSION_LOST, EXIT_LUCID);
	}
}

void session_machine_stopped(struct session *s)
{
	if (s->state == ENDED)
		s->on_end(s->arg, s->why, s->status);
	else
		set_quiet_timer(s);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static bool create_console(struct session *s, struct bus *bus)
{
	const struct console_port ports[PORT_COUNT] = {
		[PORT_CONTROL] = {.name = AGENT_PORT_CONTROL,
			.output = control_output,
			.writable = control_writable,
			.arg = s},
		[PORT_STDIN] = {.name = AGENT_PORT_STDIN,
			.output = stdin_output,
			.opened = stdin_opened,
			.writable = stdin_writable,
			.arg = s},
		[PORT_STDOUT] = {.name = AGENT_PORT_STDOUT,
			.output = stream_output,
			.arg = &s->out[0]},
		[PORT_STDERR] = {.name = AGENT_PORT_STDERR,
			.output = stream_output,
			.arg = &s->out[1]},
	};

	s->console = console_create(bus, ports, PORT_COUNT);
	if (!s->console)
		log_error("cannot make the console device: %s", strerror(errno));
	return s->console;
}

static bool make_start(struct session *s, const struct vm_setup *setup)
{
	struct agent_winsize size = {0};

	if (setup->command->tty)
		size = terminal_size(STDIN_FILENO);
	s->pending = proto_start(setup, &size, &s->pending_len);
	if (!s->pending && errno == E2BIG)
		log_error("the command and its environment are longer than %u KiB; pass less",
			AGENT_HOST_MAX / 1024);
	else if (!s->pending)
		log_error("cannot prepare the command: %s", strerror(errno));
	return s->pending;
}

static void open_streams(struct session *s)
{
	for (int i = 0; i < 2; i++) {
		s->out[i].session = s;
		s->out[i].port = PORT_STDOUT + i;
		s->out[i].outlet.ready = outlet_ready;
		s->out[i].outlet.gone = outlet_gone;
		s->out[i].outlet.arg = &s->out[i];
		outlet_open(&s->out[i].outlet, s->loop, STDOUT_FILENO + i);
	}
	s->in.give = inlet_give;
	s->in.ended = inlet_ended;
	s->in.arg = s;
	inlet_open(&s->in, s->loop, STDIN_FILENO);
}

struct session *session_create(struct bus *bus, struct loop *loop, const struct vm_setup *setup,
	session_end_fn *on_end, void *arg)
{
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		log_error("out of memory");
		return NULL;
	}
	s->loop = loop;
	s->tty = setup->command->tty;
	s->on_end = on_end;
	s->arg = arg;
	if (!make_start(s, setup) || !create_console(s, bus)) {
		free(s->pending);
		free(s);
		return NULL;
	}
	open_streams(s);
	s->quiet_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	r = s->quiet_timer < 0 ? -errno
			       : loop_add(loop, s->quiet_timer, EPOLLIN, quiet_timer_fired, s);
	if (r == 0)
		r = session_signals_open(&s->signals, loop, s->tty, handle_signal, s);
	if (r < 0) {
		log_error("cannot prepare the command's streams: %s", strerror(-r));
		session_destroy(s);
		return NULL;
	}
	return s;
}

void session_destroy(struct session *s)
{
	if (!s)
		return;
	s->state = ENDED;
	terminal_restore();
	inlet_close(&s->in, false);
	outlet_close(&s->out[0].outlet);
	outlet_close(&s->out[1].outlet);
	session_signals_close(&s->signals);
	if (s->quiet_timer >= 0) {
		loop_remove(s->loop, s->quiet_timer);
		close(s->quiet_timer);
	}
	free(s->pending);
	free(s);
}

void session_on_started(struct session *s, void (*fn)(void *arg), void *arg)
{
	s->on_started = fn;
	s->on_started_arg = arg;
}

bool session_running(const struct session *s)
{
	return s->state == RUNNING;
}

uint64_t session_hello_time(const struct session *s)
{
	return s->hello_time;
}
