/* SPDX-License-Identifier: MIT */
/*
 * The server of a control socket, in the loop of its owner: HTTP/1.1, one request a
 * connection, answered at once. Whoever connects must be of our own user; what does not
 * finish its request or take its answer in time is cut off, and nothing of it can make the
 * loop wait.
 */
#ifndef API_SERVER_H
#define API_SERVER_H

#include <jansson.h>

#include "base/loop.h"

/* What a handler answers. It sets json (taken over), or text, or an error by api_refuse(). */
struct api_reply {
	int status; /* HTTP; 200 unless the handler says otherwise */
	json_t *json;
	char *text; /* plain text instead, to be freed by the server */
	/*
	 * With status 101: what becomes of the connection, which speaks another protocol from
	 * here on. The non-blocking socket is the callee's to close.
	 */
	void (*upgrade)(void *arg, int fd);
};

struct api_route {
	const char *method, *path; /* path without a query */
	/* body: what the request carried, NULL if nothing. */
	void (*handle)(void *arg, const json_t *body, struct api_reply *reply);
};

/* An error as every client understands it: {"error": message}. */
void api_refuse(struct api_reply *reply, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Opens a socket that listens, for its owner alone, at file in the directory dir. It, or -errno.
 */
int api_listen(int dir, const char *file);

/* True if the peer of a connected socket runs as our own user or is root. */
bool api_peer_allowed(int fd);

struct api_server;

/* routes ends with a method of NULL; listener is taken over. NULL and errno on failure. */
struct api_server *api_server_create(
	struct loop *loop, int listener, const struct api_route *routes, void *arg);
void api_server_destroy(struct api_server *server);

#endif
