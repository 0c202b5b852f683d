/* SPDX-License-Identifier: MIT */
/* What an agent that is none sends to the monitor, in pieces of any length. */
#include <stdbool.h>
#include <stdlib.h>

#include "fuzz/input.h"
#include "monitor/session_proto.h"

/* Holds what the header of proto_parse() promises. */
static void check(const struct proto_message *m)
{
	bool ok = memchr(m->text, 0, sizeof(m->text)) != NULL;

	switch (m->type) {
	case AGENT_HELLO:
		ok = ok && m->hello.magic == AGENT_MAGIC;
		break;
	case AGENT_STARTED:
		break;
	case AGENT_EXITED:
		ok = ok && m->exited.status <= 255;
		break;
	case AGENT_ERROR:
		ok = ok && m->error.status >= 125 && m->error.status <= 127;
		break;
	default:
		ok = false;
	}
	/* Terminals obey these, and the second of those two bytes after the first. */
	for (const unsigned char *p = (const unsigned char *)m->text; ok && *p; p++)
		ok = (*p >= ' ' || *p == '\t') && *p != 0x7f &&
		     !(*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0);
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct proto_parser parser;
	static struct proto_message message;
	struct input in = {data, size};
	size_t piece = input_number(&in, 1) + 1;

	parser.have = 0;
	while (in.left > 0) {
		size_t part = piece < in.left ? piece : in.left, used = 0;
		/* In a block of its own: what is read beyond it is noticed. */
		uint8_t *copy = malloc(part);
		int r;

		if (!copy)
			abort();
		memcpy(copy, in.at, part);
		r = proto_parse(&parser, copy, part, &used, &message);
		free(copy);
		if (used > part)
			abort();
		if (r < 0)
			break;
		if (r > 0)
			check(&message);
		in.at += used;
		in.left -= used;
	}
	return 0;
}
