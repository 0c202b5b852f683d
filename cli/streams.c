/* SPDX-License-Identifier: MIT */
/* The client of a stream: a loop between three standard streams and one connection. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/stream.h"
#include "base/log.h"
#include "base/version.h"
#include "cli/streams.h"
#include "monitor/session_signals.h"
#include "monitor/stdio.h"
#include "monitor/terminal.h"

#define CTRL_P 0x10
#define CTRL_Q 0x11
#define STATUS_MAX 255

struct output {
	struct client *client;
	struct outlet outlet;
	size_t start, end; /* of a message that stdout has not taken whole */
	char data[STREAM_DATA_MAX];
};

struct client {
	const struct streams_config *config;
	struct loop *loop;
	struct stream stream;
	struct output out[2];
	struct inlet in;
	struct session_signals signals;
	size_t credit; /* bytes of input that may be sent */
	bool started, ended, prefix; /* prefix: a Ctrl-P was typed */
	int status;
};

/* ---- The end -------------------------------------------------------------------- */

static void end(struct client *c, int status)
{
	c->ended = true;
	c->status = status;
	inlet_close(&c->in, false);
	/* What was written is still on its way to our stdout. */
	if (c->out[0].start == c->out[0].end && c->out[1].start == c->out[1].end)
		loop_stop(c->loop, 0);
}

static void gone(void *arg)
{
	struct client *c = arg;

	if (c->ended)
		return;
	terminal_restore();
	log_error("%s has ended, or closed the connection; see `lucid ps`", c->config->name);
	end(c, EXIT_LUCID);
}

static void leave(struct client *c, int status)
{
	terminal_restore();
	stream_close(&c->stream);
	end(c, status);
}

/* ---- Output ----------------------------------------------------------------------- */

static void output_ready(void *arg)
{
	struct output *o = arg;
	struct client *c = o->client;

	o->start += outlet_write(&o->outlet, o->data + o->start, o->end - o->start);
	if (o->start < o->end)
		return;
	stream_pause(&c->stream, false);
	if (c->ended)
		end(c, c->status);
}

static void output_gone(void *arg)
{
	struct output *o = arg;
	struct agent_closed body = {.stream = o == &o->client->out[0] ? 1 : 2};

	stream_send(&o->client->stream, AGENT_CLOSED, &body, sizeof(body));
}

static void output(struct output *o, const char *data, size_t len)
{
	size_t n = outlet_write(&o->outlet, data, len);

	if (n == len)
		return;
	memcpy(o->data, data + n, len - n);
	o->start = 0;
	o->end = len - n;
	stream_pause(&o->client->stream, true);
}

/* ---- Input ------------------------------------------------------------------------ */

/* How much of what was typed comes before the keys that detach; len: all. */
static size_t before_detach(struct client *c, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (c->prefix && data[i] == CTRL_Q)
			return i;
		c->prefix = data[i] == CTRL_P;
	}
	return len;
}

static size_t give(void *arg, const void *data, size_t len)
{
	struct client *c = arg;
	size_t n = len < c->credit ? len : c->credit, typed;

	if (n > STREAM_DATA_MAX)
		n = STREAM_DATA_MAX;
	if (n == 0)
		return 0;
	typed = c->config->attach && c->config->tty ? before_detach(c, data, n) : n;
	if (typed > 0 && stream_send(&c->stream, STREAM_INPUT, data, typed))
		c->credit -= typed;
	if (typed < n)
		leave(c, 0);
	return n;
}

static void input_ended(void *arg)
{
	struct client *c = arg;

	stream_send(&c->stream, STREAM_INPUT_END, NULL, 0);
}

static void send_size(struct client *c)
{
	struct agent_winsize size = terminal_size(STDIN_FILENO);

	if (c->config->tty)
		stream_send(&c->stream, AGENT_WINSIZE, &size, sizeof(size));
}

/* ---- Messages ------------------------------------------------------------------------ */

static void started(struct client *c)
{
	c->started = true;
	if (c->config->tty && !terminal_raw(STDIN_FILENO))
		log_warn("cannot make the terminal raw: %s", strerror(errno));
	if (!c->config->no_input)
		inlet_run(&c->in);
}

static void failed(struct client *c, const char *body, uint32_t len)
{
	struct agent_error error;
	uint32_t status = EXIT_LUCID;

	if (len >= sizeof(error)) {
		memcpy(&error, body, sizeof(error));
		if (error.status >= EXIT_LUCID && error.status <= 127)
			status = error.status;
		body += sizeof(error);
	}
	terminal_restore();
	log_error("%s", body);
	end(c, (int)status);
}

static void message(void *arg, uint32_t type, const void *body, uint32_t len)
{
	struct client *c = arg;
	const struct stream_credit *credit = body;
	const struct agent_exited *exited = body;

	if (c->ended)
		return;
	if (type == AGENT_STARTED && !c->started) {
		started(c);
	} else if (type == AGENT_ERROR) {
		failed(c, body, len);
	} else if (type == STREAM_OUTPUT || type == STREAM_ERRORS) {
		output(&c->out[type == STREAM_ERRORS], body, len);
	} else if (type == STREAM_CREDIT && len == sizeof(*credit) &&
		   credit->bytes <= STREAM_WINDOW - c->credit) {
		c->credit += credit->bytes;
		if (!c->config->no_input && c->started)
			inlet_run(&c->in);
	} else if (type == AGENT_EXITED && len == sizeof(*exited) && exited->status <= STATUS_MAX) {
		terminal_restore();
		if (c->config->attach && exited->status == EXIT_LUCID)
			log_error("%s has failed; see `lucid logs %s`", c->config->name,
				c->config->name);
		end(c, (int)exited->status);
	} else {
		leave(c, EXIT_LUCID);
		log_error("%s sent something that is no message; is it of another version?",
			c->config->name);
	}
}

/* ---- Signals ---------------------------------------------------------------------------- */

static void handle_signal(void *arg, int signal)
{
	struct client *c = arg;
	struct agent_signal body = {.signal = (uint32_t)signal};

	switch (signal) {
	case SIGWINCH:
		send_size(c);
		return;
	case SIGTSTP:
	case SIGCONT:
		if (!c->config->tty || !c->started)
			return;
		terminal_restore();
		if (signal == SIGTSTP)
			kill(getpid(), SIGSTOP);
		terminal_raw(STDIN_FILENO);
		send_size(c);
		return;
	}
	/* Without a command to tell, and where the command does not depend on us. */
	if (!c->started || (c->config->attach && (signal == SIGTERM || signal == SIGHUP)))
		leave(c, 128 + signal);
	else
		stream_send(&c->stream, AGENT_SIGNAL, &body, sizeof(body));
}

/* ---- Life ------------------------------------------------------------------------------- */

static int open_all(struct client *c, int fd)
{
	int r;

	c->stream.message = message;
	c->stream.gone = gone;
	c->stream.arg = c;
	r = stream_open(&c->stream, c->loop, fd);
	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		c->out[i].client = c;
		c->out[i].outlet.ready = output_ready;
		c->out[i].outlet.gone = output_gone;
		c->out[i].outlet.arg = &c->out[i];
		outlet_open(&c->out[i].outlet, c->loop, STDOUT_FILENO + i);
	}
	c->in.give = give;
	c->in.ended = input_ended;
	c->in.arg = c;
	inlet_open(&c->in, c->loop, STDIN_FILENO);
	return session_signals_open(&c->signals, c->loop, c->config->tty, handle_signal, c);
}

bool streams_understood(const char *name, const json_t *machine)
{
	const json_t *version = json_object_get(machine, "streams");
	const char *theirs = json_string_value(json_object_get(machine, "version"));

	if (json_integer_value(version) == AGENT_VERSION)
		return true;
	log_error("%s runs on Lucid %s, this is %s; use that one's lucid for it", name,
		theirs ? theirs : "of another version", LUCID_VERSION);
	return false;
}

int streams_run(int fd, const struct streams_config *config)
{
	struct client *c = calloc(1, sizeof(*c));
	int r = stdio_fill(), status = EXIT_LUCID;

	if (c) {
		c->config = config;
		c->credit = STREAM_WINDOW;
		c->stream.fd = -1;
		c->loop = loop_create();
	}
	if (!c || !c->loop || r < 0) {
		log_error("cannot prepare the streams: %s", strerror(r < 0 ? -r : ENOMEM));
		close(fd);
		free(c);
		return EXIT_LUCID;
	}
	r = open_all(c, fd);
	if (r < 0) {
		log_error("cannot prepare the streams: %s", strerror(-r));
	} else {
		stream_send(&c->stream, config->first, config->body, config->len);
		loop_run(c->loop);
		status = c->status;
	}
	terminal_restore();
	inlet_close(&c->in, false);
	for (int i = 0; i < 2; i++)
		outlet_close(&c->out[i].outlet);
	session_signals_close(&c->signals);
	stream_close(&c->stream);
	loop_destroy(c->loop);
	free(c);
	return status;
}
