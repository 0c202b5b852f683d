/* SPDX-License-Identifier: MIT */
/* Requests to control sockets: many at once, and never longer than they are given. */
#ifndef API_CLIENT_H
#define API_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "api/http.h"

/* One request and what came of it. */
struct api_call {
	const char *name; /* of the machine */
	int status; /* of the answer: HTTP's; 0: there is none, and error says why */
	json_t *json; /* its body, NULL if that is no JSON */
	char *text; /* its body as it came */
	char error[256]; /* one line for the user if status is not 2xx */
	/* Why there is no answer: not in time, or none that this version understands. Neither: it
	 * is not there, or not quite. */
	bool stuck, strange;
	/* The client's own: */
	int fd;
	char *out;
	size_t out_len, out_done;
	struct http_message message;
};

/*
 * Makes the same request of count machines, whose names have been set, at the same time; body
 * may be NULL. Returns when all have answered or timeout_ms have passed.
 */
void api_calls(struct api_call *calls, size_t count, const char *method, const char *path,
	const json_t *body, int timeout_ms);

/* The same for one machine. True if it answered 2xx, else *call tells the error. */
bool api_call(struct api_call *call, const char *name, const char *method, const char *path,
	const json_t *body);

/* Frees what the answer holds. */
void api_call_clear(struct api_call *call);

/*
 * Connects to a socket of the machine's folder, blocking; -1 with the error filled in, as for
 * a call.
 */
int api_connect(const char *name, const char *file, char error[256]);

/*
 * Turns a new connection into a stream (abi/agent.h) by an upgrade at path. The client speaks
 * first on it. Its blocking socket, or -1 with the error filled in.
 */
int api_upgrade(const char *name, const char *path, char error[256]);

#endif
