/* SPDX-License-Identifier: MIT */
/* The control socket: its server in one process, good and bad clients in another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/client.h"
#include "api/rundir.h"
#include "api/server.h"

static char base[] = "/tmp/lucid-unit-XXXXXX";
static pid_t server;

/* ---- The server ------------------------------------------------------------------ */

static void get_echo(void *arg, const json_t *body, struct api_reply *reply)
{
	(void)arg;
	reply->json = body ? json_deep_copy(body) : json_object();
}

static void get_text(void *arg, const json_t *body, struct api_reply *reply)
{
	(void)arg;
	(void)body;
	/* More than a socket holds. */
	reply->text = calloc(1, 1000001);
	memset(reply->text, 'x', 1000000);
}

static void get_no(void *arg, const json_t *body, struct api_reply *reply)
{
	(void)arg;
	(void)body;
	api_refuse(reply, 409, "not now");
}

static void run_server(int ready)
{
	static const struct api_route routes[] = {
		{"POST", "/echo", get_echo},
		{"GET", "/text", get_text},
		{"GET", "/no", get_no},
		{0},
	};
	struct loop *loop = loop_create();
	struct rundir_claim claim;
	int listener;

	if (rundir_claim(&claim, "vm", true) < 0)
		_exit(1);
	listener = api_listen(claim.dir, RUNDIR_CONTROL);
	if (listener < 0 || !api_server_create(loop, listener, routes, NULL) ||
		write(ready, "", 1) != 1)
		_exit(1);
	loop_run(loop);
}

static int set_up(void **state)
{
	int ready[2];
	char byte;

	(void)state;
	if (!mkdtemp(base) || setenv("XDG_RUNTIME_DIR", base, 1) < 0 || pipe(ready) < 0)
		return -1;
	server = fork();
	if (server == 0)
		run_server(ready[1]);
	return read(ready[0], &byte, 1) == 1 ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf %s", base);
	return system(command);
}

/* ---- Clients ------------------------------------------------------------------------ */

static void requests(void **state)
{
	json_t *body = json_pack("{s:i}", "x", 7);
	struct api_call call;

	(void)state;
	assert_true(api_call(&call, "vm", "POST", "/echo", body));
	assert_int_equal(json_integer_value(json_object_get(call.json, "x")), 7);
	api_call_clear(&call);
	assert_true(api_call(&call, "vm", "GET", "/text", NULL));
	assert_int_equal(strlen(call.text), 1000000);
	api_call_clear(&call);
	assert_false(api_call(&call, "vm", "GET", "/no", NULL));
	assert_int_equal(call.status, 409);
	assert_string_equal(call.error, "vm: not now");
	api_call_clear(&call);
	assert_false(api_call(&call, "vm", "GET", "/echo", NULL));
	assert_int_equal(call.status, 405);
	api_call_clear(&call);
	assert_false(api_call(&call, "vm", "GET", "/else", NULL));
	assert_int_equal(call.status, 404);
	api_call_clear(&call);
	assert_false(api_call(&call, "nobody", "GET", "/text", NULL));
	assert_string_equal(call.error, "no machine named nobody is running; see `lucid ps`");
	json_decref(body);
}

/* What the server answers to these bytes: the status. 0: it closed without a word. */
static int answer_to(const char *bytes, size_t len)
{
	char answer[2048] = "", error[256];
	int fd = api_connect("vm", RUNDIR_CONTROL, error), status = 0;
	size_t have = 0;
	ssize_t n;

	assert_true(fd >= 0);
	/* The server may have heard enough before the end. */
	for (size_t done = 0; done < len; done += (size_t)n) {
		n = send(fd, bytes + done, len - done, MSG_NOSIGNAL);
		if (n <= 0)
			break;
	}
	shutdown(fd, SHUT_WR);
	while ((n = recv(fd, answer + have, sizeof(answer) - 1 - have, 0)) > 0)
		have += (size_t)n;
	close(fd);
	sscanf(answer, "HTTP/1.1 %d", &status);
	return status;
}

static int answer_to_string(const char *s)
{
	return answer_to(s, strlen(s));
}

static void bad_requests(void **state)
{
	char *big = calloc(1, 200000);

	(void)state;
	assert_int_equal(answer_to_string("\x16\x03\x01nonsense\r\n\r\n"), 400);
	assert_int_equal(answer_to_string("GET\r\n\r\n"), 400);
	assert_int_equal(
		answer_to_string("POST /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\n{x}"), 400);
	assert_int_equal(
		answer_to_string("POST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]"), 400);
	assert_int_equal(
		answer_to_string(
			"POST /echo HTTP/1.1\r\nContent-Length: 13\r\n\r\n{\"a\":1,\"a\":2}"),
		400);
	assert_int_equal(
		answer_to_string("POST /echo HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n{"), 413);
	assert_int_equal(answer_to_string("POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\n{"), 0);
	strcpy(big, "GET /");
	memset(big + 5, 'a', 1000);
	strcpy(big + 1005, " HTTP/1.1\r\n\r\n");
	assert_int_equal(answer_to_string(big), 413);
	strcpy(big, "GET /text HTTP/1.1\r\nX: ");
	memset(big + strlen(big), 'a', 100000);
	assert_int_equal(answer_to_string(big), 400);
	/* Nested deeper than any reader goes. */
	strcpy(big, "POST /echo HTTP/1.1\r\nContent-Length: 60000\r\n\r\n{\"a\":");
	memset(big + strlen(big), '[', 59995);
	assert_int_equal(answer_to_string(big), 400);
	/* And after all that it still serves. */
	assert_int_equal(answer_to_string("GET /no HTTP/1.1\r\n\r\n"), 409);
	free(big);
}

/* Each byte by itself, and each cut short. */
static void pieces(void **state)
{
	static const char request[] = "POST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
	char error[256], answer[64];
	int fd;

	(void)state;
	for (size_t len = 0; len < sizeof(request) - 1; len++)
		assert_int_equal(answer_to(request, len), 0);
	fd = api_connect("vm", RUNDIR_CONTROL, error);
	for (size_t i = 0; i < sizeof(request) - 1; i++)
		assert_int_equal(send(fd, request + i, 1, 0), 1);
	assert_true(recv(fd, answer, sizeof(answer), MSG_WAITALL) > 12);
	assert_memory_equal(answer, "HTTP/1.1 200", 12);
	close(fd);
}

/* More idle connections than the server keeps: others are served as those go. */
static void crowd(void **state)
{
	char error[256];
	int fd[80];

	(void)state;
	for (int i = 0; i < 80; i++)
		fd[i] = api_connect("vm", RUNDIR_CONTROL, error);
	for (int i = 0; i < 80; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	assert_int_equal(answer_to_string("GET /no HTTP/1.1\r\n\r\n"), 409);
}

static void many_calls(void **state)
{
	struct api_call calls[40] = {0};

	(void)state;
	for (int i = 0; i < 40; i++)
		calls[i].name = i % 4 == 3 ? "nobody" : "vm";
	api_calls(calls, 40, "GET", "/text", NULL, 20000);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(calls[i].status, i % 4 == 3 ? 0 : 200);
		api_call_clear(&calls[i]);
	}
}

/* A stopped server is not waited for. */
static void stuck(void **state)
{
	struct api_call call = {.name = "vm"};

	(void)state;
	kill(server, SIGSTOP);
	api_calls(&call, 1, "GET", "/no", NULL, 200);
	assert_int_equal(call.status, 0);
	assert_non_null(strstr(call.error, "does not answer"));
	api_call_clear(&call);
	kill(server, SIGCONT);
	assert_int_equal(answer_to_string("GET /no HTTP/1.1\r\n\r\n"), 409);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(bad_requests),
		cmocka_unit_test(pieces),
		cmocka_unit_test(crowd),
		cmocka_unit_test(many_calls),
		cmocka_unit_test(stuck),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
