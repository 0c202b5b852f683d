/* SPDX-License-Identifier: MIT */
/*
 * What comes over a control socket: HTTP requests, their JSON, and after an upgrade the messages
 * of a stream. A server with routes of its own, and a client that says anything.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/server.h"
#include "api/stream.h"
#include "fuzz/input.h"

#define ROUNDS 4 /* of the loop, between two pieces */
#define OVERHEAD 16

static struct loop *loop;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_len = sizeof(address);
static struct stream stream = {.fd = -1};
static struct loop_work work;
static unsigned rounds;

static void handle_echo(void *arg, const json_t *body, struct api_reply *reply)
{
	(void)arg;
	if (body)
		reply->json = json_deep_copy(body);
	else
		api_refuse(reply, 400, "nothing");
}

static void handle_text(void *arg, const json_t *body, struct api_reply *reply)
{
	(void)arg;
	(void)body;
	reply->text = strdup("# text\n");
}

static void on_message(void *arg, uint32_t type, const void *body, uint32_t len)
{
	(void)arg;
	if (((const char *)body)[len] != '\0')
		abort();
	if (type == 9)
		stream_pause(&stream, true);
	stream_send(&stream, type, body, len);
}

static void on_gone(void *arg)
{
	(void)arg;
}

static void on_upgrade(void *arg, int fd)
{
	(void)arg;
	stream_close(&stream);
	stream = (struct stream){.message = on_message, .gone = on_gone};
	if (stream_open(&stream, loop, fd) < 0)
		abort();
}

static void handle_stream(void *arg, const json_t *body, struct api_reply *reply)
{
	(void)arg;
	(void)body;
	reply->status = 101;
	reply->upgrade = on_upgrade;
}

static const struct api_route routes[] = {
	{"POST", "/v1/e", handle_echo},
	{"GET", "/v1/t", handle_text},
	{"POST", "/v1/s", handle_stream},
	{NULL, NULL, NULL},
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	/* An address that the host makes up. */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)argc;
	(void)argv;
	loop = loop_create();
	if (!loop || bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &address_len) < 0 ||
		listen(fd, 8) < 0 || !api_server_create(loop, fd, routes, NULL))
		abort();
	return 0;
}

static void count(void *arg)
{
	(void)arg;
	if (++rounds > ROUNDS)
		loop_stop(loop, 0);
	else
		loop_defer(loop, &work);
}

static void serve(void)
{
	rounds = 0;
	work.fn = count;
	loop_defer(loop, &work);
	loop_run(loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	unsigned piece = (unsigned)input_number(&in, 2) + OVERHEAD;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	static char answer[65536];
	ssize_t n;

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, address_len) < 0)
		abort();
	while (in.left > 0) {
		size_t part = piece < in.left ? piece : in.left;

		if (send(fd, in.at, part, MSG_NOSIGNAL) != (ssize_t)part)
			break;
		in.at += part;
		in.left -= part;
		serve();
	}
	n = recv(fd, answer, sizeof(answer), 0);
	if (n > 0 && memcmp(answer, "HTTP/1.1 ", n < 9 ? (size_t)n : 9) != 0)
		abort();
	close(fd);
	serve();
	stream_close(&stream);
	return 0;
}
