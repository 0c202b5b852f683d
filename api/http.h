/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 messages with a JSON body, one a connection, as the control socket speaks them.
 * Parsing is libhttp-parser's, JSON jansson's; what is here are the bounds.
 */
#ifndef API_HTTP_H
#define API_HTTP_H

#include <http_parser.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define HTTP_PATH_MAX 255
#define HTTP_HEADERS_MAX 8192 /* bytes of all headers */
#define HTTP_BODY_MAX (1U << 20)

/* A message as far as it has come. */
struct http_message {
	http_parser parser;
	size_t max; /* greatest body */
	bool complete;
	bool too_long; /* of path or body */
	char path[HTTP_PATH_MAX + 1]; /* of a request: path and query */
	size_t path_len;
	char *body; /* NUL-terminated; NULL: none */
	size_t body_len;
};

/* type: HTTP_REQUEST or HTTP_RESPONSE; http_clear() ends it. */
void http_init(struct http_message *m, enum http_parser_type type, size_t max);
void http_clear(struct http_message *m);

/*
 * Takes bytes; *used tells how many: after an upgrade, the rest is not HTTP. len 0 is the end
 * of the stream. False: that is no HTTP message, or a longer one than is taken.
 */
bool http_feed(struct http_message *m, const char *data, size_t len, size_t *used);

/* The whole text of a message, to be freed; NULL without memory. body may be NULL. */
char *http_request(const char *method, const char *path, const char *body, size_t *len);
char *http_response(int status, const char *type, const char *body, size_t *len);

#endif
