/* SPDX-License-Identifier: MIT */
/* Bounds around libhttp-parser, and the writing of messages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/http.h"

static int refuse(struct http_message *m)
{
	m->too_long = true;
	return -1;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
	struct http_message *m = parser->data;

	if (len > HTTP_PATH_MAX - m->path_len)
		return refuse(m);
	memcpy(m->path + m->path_len, at, len);
	m->path_len += len;
	return 0;
}

/* 1 tells the parser that no body follows: the answer to an upgrade has none. */
static int on_headers(http_parser *parser)
{
	struct http_message *m = parser->data;

	if (parser->content_length != UINT64_MAX && parser->content_length > m->max)
		return refuse(m);
	return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
	struct http_message *m = parser->data;
	char *grown;

	if (len > m->max - m->body_len)
		return refuse(m);
	grown = realloc(m->body, m->body_len + len + 1);
	if (!grown)
		return refuse(m);
	m->body = grown;
	memcpy(m->body + m->body_len, at, len);
	m->body_len += len;
	m->body[m->body_len] = '\0';
	return 0;
}

static int on_complete(http_parser *parser)
{
	struct http_message *m = parser->data;

	m->complete = true;
	/* What follows is not looked at: one message a connection. */
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_url = on_url,
	.on_headers_complete = on_headers,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

void http_init(struct http_message *m, enum http_parser_type type, size_t max)
{
	memset(m, 0, sizeof(*m));
	http_parser_set_max_header_size(HTTP_HEADERS_MAX);
	http_parser_init(&m->parser, type);
	m->parser.data = m;
	m->max = max;
}

void http_clear(struct http_message *m)
{
	free(m->body);
	m->body = NULL;
	m->body_len = 0;
}

bool http_feed(struct http_message *m, const char *data, size_t len, size_t *used)
{
	enum http_errno error;

	*used = m->complete ? 0 : http_parser_execute(&m->parser, &settings, data, len);
	error = HTTP_PARSER_ERRNO(&m->parser);
	return m->complete || error == HPE_OK;
}

char *http_request(const char *method, const char *path, const char *body, size_t *len)
{
	char *text;
	int n = asprintf(&text,
		"%s %s HTTP/1.1\r\nHost: lucid\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
		method, path, body ? strlen(body) : 0, body ? body : "");

	*len = n > 0 ? (size_t)n : 0;
	return n > 0 ? text : NULL;
}

char *http_response(int status, const char *type, const char *body, size_t *len)
{
	char *text;
	int n = asprintf(&text,
		"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n%s",
		status, http_status_str((enum http_status)status), type, body ? strlen(body) : 0,
		body ? body : "");

	*len = n > 0 ? (size_t)n : 0;
	return n > 0 ? text : NULL;
}
