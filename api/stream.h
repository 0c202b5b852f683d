/* SPDX-License-Identifier: MIT */
/*
 * The host's ends of a stream (abi/agent.h): messages on a non-blocking socket in a loop. The
 * peer is hostile: a message longer than it may be ends the connection.
 */
#ifndef API_STREAM_H
#define API_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/agent.h"
#include "base/loop.h"

struct stream {
	struct loop *loop;
	int fd; /* -1: closed */
	bool paused;
	/*
	 * A message, whole; body is aligned for any type, and followed by a NUL. May call
	 * stream_close().
	 */
	void (*message)(void *arg, uint32_t type, const void *body, uint32_t len);
	/* The peer has gone, or has sent nonsense; the stream is closed. */
	void (*gone)(void *arg);
	/* All that was sent is out. May be NULL. */
	void (*drained)(void *arg);
	void *arg;
	/* The stream's own: */
	size_t have;
	char *out;
	size_t out_len, out_room;
	union {
		struct agent_header header;
		char in[sizeof(struct agent_header) + STREAM_DATA_MAX + 1];
	};
};

/* Takes over the socket; set the callbacks and arg first. 0, or -errno with the socket closed. */
int stream_open(struct stream *s, struct loop *loop, int fd);
/* No effect if it is closed. What has not been sent is lost. */
void stream_close(struct stream *s);

/* Sends, or keeps until it can be sent; false without memory, or if it is closed. */
bool stream_send(struct stream *s, uint32_t type, const void *body, size_t len);
/* Bytes that wait to be sent. Who sends much looks here first. */
size_t stream_backlog(const struct stream *s);
/* Reads no more messages until told otherwise. */
void stream_pause(struct stream *s, bool pause);
/* Sends what waits, for at most ms milliseconds; the one call that waits. */
void stream_flush(struct stream *s, int ms);

#endif
