/* SPDX-License-Identifier: MIT */
/* Messages of the agent, as the host reads and writes them: what a hostile guest can send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/session_proto.h"

/* A message as bytes; its length. */
static size_t make(unsigned char *to, uint32_t type, uint32_t length, const void *body, size_t n)
{
	struct agent_header header = {type, length};

	memcpy(to, &header, sizeof(header));
	if (n)
		memcpy(to + sizeof(header), body, n);
	return sizeof(header) + n;
}

/* Parses bytes as the first of a stream. */
static int parse(const void *data, size_t len, struct proto_message *m)
{
	struct proto_parser *parser = calloc(1, sizeof(*parser));
	size_t used;
	int r = proto_parse(parser, data, len, &used, m);

	assert_true(used <= len);
	free(parser);
	return r;
}

static void test_hello(void **state)
{
	struct agent_hello hello = {AGENT_MAGIC, 7};
	unsigned char data[64];
	struct proto_message m;

	(void)state;
	make(data, AGENT_HELLO, sizeof(hello), &hello, sizeof(hello));
	assert_int_equal(parse(data, 16, &m), 1);
	assert_int_equal(m.type, AGENT_HELLO);
	assert_int_equal(m.hello.version, 7);

	hello.magic++;
	make(data, AGENT_HELLO, sizeof(hello), &hello, sizeof(hello));
	assert_int_equal(parse(data, 16, &m), -EPROTO);
}

static void test_in_pieces(void **state)
{
	struct agent_exited exited = {.status = 130, .signal = 2, .stdout_bytes = 1ULL << 40};
	struct proto_parser parser = {0};
	unsigned char data[128];
	struct proto_message m;
	size_t len, used;

	(void)state;
	len = make(data, AGENT_EXITED, sizeof(exited), &exited, sizeof(exited));
	len += make(data + len, AGENT_STARTED, 0, NULL, 0);
	for (size_t i = 0; i < len; i++) {
		int r = proto_parse(&parser, data + i, 1, &used, &m);

		assert_int_equal(used, 1);
		assert_int_equal(r, i == 31 || i == len - 1);
		if (i == 31)
			assert_int_equal(m.exited.stdout_bytes, 1ULL << 40);
	}
	assert_int_equal(m.type, AGENT_STARTED);
}

static void test_two_at_once(void **state)
{
	struct proto_parser parser = {0};
	unsigned char data[32];
	struct proto_message m;
	size_t len, used;

	(void)state;
	len = make(data, AGENT_STARTED, 0, NULL, 0);
	len += make(data + len, AGENT_STARTED, 0, NULL, 0);
	assert_int_equal(proto_parse(&parser, data, len, &used, &m), 1);
	assert_int_equal(used, 8);
	assert_int_equal(proto_parse(&parser, data + used, len - used, &used, &m), 1);
	assert_int_equal(used, 8);
	assert_int_equal(proto_parse(&parser, data, 0, &used, &m), 0);
}

/* Every type with every length near a bound: only the right ones are waited for. */
static void test_lengths(void **state)
{
	static const uint32_t lengths[] = {0, 1, 3, 4, 7, 8, 9, 23, 24, 25, AGENT_GUEST_MAX,
		AGENT_GUEST_MAX + 1, 0x7fffffff, 0x80000000, 0xfffffff7, 0xfffffff8, 0xffffffff};
	struct proto_message m;
	unsigned char data[64];

	(void)state;
	for (uint32_t type = 0; type < 40; type++) {
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			uint32_t n = lengths[i];
			int expected = -EPROTO;

			if ((type == AGENT_HELLO && n == 8) || (type == AGENT_EXITED && n == 24) ||
				(type == AGENT_ERROR && n >= 4 && n <= AGENT_GUEST_MAX))
				expected = 0;
			if (type == AGENT_STARTED && n == 0)
				expected = 1;
			make(data, type, n, NULL, 0);
			assert_int_equal(parse(data, sizeof(struct agent_header), &m), expected);
		}
	}
}

static void test_values(void **state)
{
	struct agent_exited exited = {.status = 256};
	struct agent_error error = {.status = 124};
	struct proto_message m;
	unsigned char data[64];
	size_t n;

	(void)state;
	n = make(data, AGENT_EXITED, sizeof(exited), &exited, sizeof(exited));
	assert_int_equal(parse(data, n, &m), -EPROTO);
	exited = (struct agent_exited){.status = 1, .signal = 65};
	n = make(data, AGENT_EXITED, sizeof(exited), &exited, sizeof(exited));
	assert_int_equal(parse(data, n, &m), -EPROTO);
	n = make(data, AGENT_ERROR, sizeof(error), &error, sizeof(error));
	assert_int_equal(parse(data, n, &m), -EPROTO);
	error.status = 128;
	n = make(data, AGENT_ERROR, sizeof(error), &error, sizeof(error));
	assert_int_equal(parse(data, n, &m), -EPROTO);
}

static void test_text(void **state)
{
	unsigned char body[AGENT_GUEST_MAX], data[AGENT_GUEST_MAX + 8];
	struct agent_error error = {.status = 127};
	struct proto_message m;
	size_t n;

	(void)state;
	memset(body, 'x', sizeof(body));
	memcpy(body, &error, sizeof(error));
	memcpy(body + 4, "\033[2J\n\0\177ok", 9);
	n = make(data, AGENT_ERROR, sizeof(body), body, sizeof(body));
	assert_int_equal(parse(data, n, &m), 1);
	assert_memory_equal(m.text, "?[2J???ok", 9);
	assert_int_equal(strlen(m.text), AGENT_GUEST_MAX - 4);
	assert_int_equal(m.error.status, 127);
}

/* U+009B is the terminal's CSI in one character; letters beyond ASCII are text. */
static void test_text_beyond_ascii(void **state)
{
	static const struct {
		const char *sent, *shown;
	} cases[] = {
		{"n\303\266 \342\202\254 \360\237\230\200.",
			"n\303\266 \342\202\254 \360\237\230\200."},
		{"\302\2332J", "??2J"},
		{"\302\200\302\237\302\240", "????\302\240"},
		{"\2332J", "?2J"},
		{"\303", "?"},
		{"\303x\342\202x\377\300\200", "?x??x???"},
		{"\360\237\230", "???"},
	};
	unsigned char body[64], data[100];
	struct agent_error error = {.status = 127};
	struct proto_message m;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].sent);

		memcpy(body, &error, sizeof(error));
		memcpy(body + sizeof(error), cases[i].sent, len);
		assert_int_equal(parse(data,
					 make(data, AGENT_ERROR, sizeof(error) + len, body,
						 sizeof(error) + len),
					 &m),
			1);
		assert_string_equal(m.text, cases[i].shown);
	}
}

static void test_start(void **state)
{
	char *argv[] = {"a", "", "b c", NULL}, *env[] = {"K=V", NULL};
	struct vm_command c = {.argv = argv, .env = env, .workdir = "/w", .uid = 5, .gid = 6};
	struct agent_winsize size = {24, 80, 0, 0};
	static const char strings[] = "erofs\0\0/w\0a\0\0b c\0K=V";
	struct agent_header header;
	struct agent_start start;
	size_t len;
	char *data;

	(void)state;
	data = proto_start(
		&(struct vm_setup){.command = &c, .root = VM_ROOT_OVERLAY, .fstype = "erofs"},
		&size, &len);
	assert_non_null(data);
	memcpy(&header, data, sizeof(header));
	memcpy(&start, data + sizeof(header), sizeof(start));
	assert_int_equal(header.type, AGENT_START);
	assert_int_equal(header.length, len - sizeof(header));
	assert_int_equal(start.root, AGENT_ROOT_OVERLAY);
	assert_int_equal(start.argc, 3);
	assert_int_equal(start.envc, 1);
	assert_int_equal(start.winsize.cols, 80);
	assert_int_equal(start.uid, 5);
	assert_int_equal(len, sizeof(header) + sizeof(start) + sizeof(strings));
	assert_memory_equal(data + sizeof(header) + sizeof(start), strings, sizeof(strings));
	free(data);
}

static void test_start_too_long(void **state)
{
	char *word = malloc(AGENT_HOST_MAX + 1), *argv[] = {word, NULL};
	struct vm_command c = {.argv = argv};
	struct agent_winsize size = {0};
	size_t len;

	(void)state;
	memset(word, 'x', AGENT_HOST_MAX);
	word[AGENT_HOST_MAX] = 0;
	assert_null(proto_start(
		&(struct vm_setup){.command = &c, .root = VM_ROOT_INITRD, .fstype = NULL}, &size,
		&len));
	assert_int_equal(errno, E2BIG);
	free(word);
}

/* With a terminal, the guest's programs learn what kind it is. */
static void test_term(void **state)
{
	char *env[] = {"TERM=mine", NULL};
	struct vm_command c = {.tty = true};
	struct agent_winsize size = {0};
	size_t len;
	char *data;

	(void)state;
	setenv("TERM", "foo", 1);
	data = proto_start(
		&(struct vm_setup){.command = &c, .root = VM_ROOT_INITRD, .fstype = NULL}, &size,
		&len);
	assert_memory_equal(data + len - 9, "TERM=foo", 9);
	free(data);
	c.env = env;
	data = proto_start(
		&(struct vm_setup){.command = &c, .root = VM_ROOT_INITRD, .fstype = NULL}, &size,
		&len);
	assert_memory_equal(data + len - 10, "TERM=mine", 10);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_in_pieces),
		cmocka_unit_test(test_two_at_once),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_beyond_ascii),
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_start_too_long),
		cmocka_unit_test(test_term),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
