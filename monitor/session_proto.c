/* SPDX-License-Identifier: MIT */
/* The messages of abi/agent.h. What comes from the guest is hostile; this is its one parser. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "monitor/session_proto.h"

#define STATUS_MAX 255
#define SIGNAL_MAX 64

static bool length_fits(const struct agent_header *header)
{
	switch (header->type) {
	case AGENT_HELLO:
		return header->length == sizeof(struct agent_hello);
	case AGENT_STARTED:
		return header->length == 0;
	case AGENT_EXITED:
		return header->length == sizeof(struct agent_exited);
	case AGENT_ERROR:
		return header->length >= sizeof(struct agent_error) &&
		       header->length <= AGENT_GUEST_MAX;
	default:
		return false;
	}
}

/* Text for the user's terminal: nothing in it may control that. */
static void take_text(struct proto_message *m, const unsigned char *text, size_t len)
{
	memcpy(m->text, text, len);
	m->text[len] = 0;
	text_clean(m->text, len);
}

static int take_message(
	const struct agent_header *header, const unsigned char *body, struct proto_message *m)
{
	m->type = header->type;
	m->text[0] = 0;
	switch (header->type) {
	case AGENT_HELLO:
		memcpy(&m->hello, body, sizeof(m->hello));
		return m->hello.magic == AGENT_MAGIC ? 1 : -EPROTO;
	case AGENT_EXITED:
		memcpy(&m->exited, body, sizeof(m->exited));
		return m->exited.status <= STATUS_MAX && m->exited.signal <= SIGNAL_MAX ? 1
											: -EPROTO;
	case AGENT_ERROR:
		memcpy(&m->error, body, sizeof(m->error));
		if (m->error.status < 125 || m->error.status > 127)
			return -EPROTO;
		take_text(m, body + sizeof(m->error), header->length - sizeof(m->error));
		return 1;
	default:
		return 1;
	}
}

/* Collects up to want bytes in all; true: they are there. */
static bool collect(
	struct proto_parser *p, size_t want, const unsigned char *data, size_t len, size_t *used)
{
	size_t n = want - p->have;

	if (n > len - *used)
		n = len - *used;
	memcpy(p->data + p->have, data + *used, n);
	p->have += n;
	*used += n;
	return p->have == want;
}

int proto_parse(struct proto_parser *parser, const void *data, size_t len, size_t *used,
	struct proto_message *message)
{
	struct agent_header header;

	*used = 0;
	if (parser->have < sizeof(header) && !collect(parser, sizeof(header), data, len, used))
		return 0;
	memcpy(&header, parser->data, sizeof(header));
	if (!length_fits(&header))
		return -EPROTO;
	if (!collect(parser, sizeof(header) + header.length, data, len, used))
		return 0;
	parser->have = 0;
	return take_message(&header, parser->data + sizeof(header), message);
}

struct writer {
	char *data; /* NULL: only counts */
	size_t len;
};

static void put(struct writer *w, const void *data, size_t len)
{
	if (w->data && len)
		memcpy(w->data + w->len, data, len);
	w->len += len;
}

static void put_string(struct writer *w, const char *s)
{
	put(w, s ? s : "", s ? strlen(s) + 1 : 1);
}

static uint32_t put_strings(struct writer *w, char *const *list)
{
	uint32_t n = 0;

	for (; list && list[n]; n++)
		put_string(w, list[n]);
	return n;
}

/* The guest's programs draw on the user's terminal, whatever kind that is. */
static bool terminal_kind_wanted(const struct vm_command *c)
{
	if (!c->tty || !getenv("TERM"))
		return false;
	for (char **e = c->env; e && *e; e++)
		if (strncmp(*e, "TERM=", 5) == 0)
			return false;
	return true;
}

static uint32_t put_environment(struct writer *w, const struct vm_command *c)
{
	uint32_t n = put_strings(w, c->env);

	if (!terminal_kind_wanted(c))
		return n;
	put(w, "TERM=", 5);
	put_string(w, getenv("TERM"));
	return n + 1;
}

/* Two strings for each: what it is to be mounted with, and where. */
static void put_folders(struct writer *w, const struct vm_setup *setup)
{
	for (unsigned i = 0; i < setup->folders; i++) {
		put_string(w, setup->folder[i].read_only ? "ro" : "");
		put_string(w, setup->folder[i].guest);
	}
}

static uint32_t root_number(enum vm_root root)
{
	switch (root) {
	case VM_ROOT_OVERLAY:
		return AGENT_ROOT_OVERLAY;
	case VM_ROOT_RW:
		return AGENT_ROOT_RW;
	case VM_ROOT_FOLDER:
		return AGENT_ROOT_FOLDER;
	default:
		return AGENT_ROOT_INITRD;
	}
}

void *proto_start(const struct vm_setup *setup, const struct agent_winsize *size, size_t *len)
{
	const struct vm_command *command = setup->command;
	struct agent_header header = {.type = AGENT_START};
	struct agent_start start = {
		.version = AGENT_VERSION,
		.root = root_number(setup->root),
		.flags = command->tty ? AGENT_TTY : 0,
		.uid = command->uid,
		.gid = command->gid,
		.winsize = *size,
		.nets = setup->nets,
		.folders = setup->folders,
		.memory_max = setup->memory_max,
	};
	struct writer w = {0};

	/* Twice: to learn the length and the counts, then to write. */
	for (;;) {
		w.len = 0;
		put(&w, &header, sizeof(header));
		put(&w, &start, sizeof(start));
		put(&w, setup->net, setup->nets * sizeof(*setup->net));
		put_string(&w, setup->fstype);
		put_string(&w, command->hostname);
		put_string(&w, command->workdir);
		start.argc = put_strings(&w, command->argv);
		start.envc = put_environment(&w, command);
		put_folders(&w, setup);
		if (w.data)
			break;
		if (w.len - sizeof(header) > AGENT_HOST_MAX) {
			errno = E2BIG;
			return NULL;
		}
		header.length = w.len - sizeof(header);
		w.data = malloc(w.len);
		if (!w.data)
			return NULL;
	}
	*len = w.len;
	return w.data;
}
