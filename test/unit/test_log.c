/* SPDX-License-Identifier: MIT */
/* What Lucid says is one line, whatever it is made of. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "test/unit/rig.h"

static int saved_stderr, pipe_read;

static void capture(void)
{
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fd[1], STDERR_FILENO);
	close(fd[1]);
	pipe_read = fd[0];
}

static const char *captured(void)
{
	static char text[4096];

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	ssize_t n = read(pipe_read, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	close(pipe_read);
	return text;
}

static void kinds_of_lines(void **state)
{
	(void)state;
	capture();
	log_error("no %s; try %d", "kernel", 2);
	log_warn("slow");
	log_info("not shown");
	log_set_verbose(1);
	log_info("shown");
	log_set_verbose(0);
	assert_string_equal(
		captured(), "lucid: no kernel; try 2\nlucid: warning: slow\nlucid: shown\n");
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
	(void)state;
	capture();
	log_error("name \"%s\"", "\x1b[2J\r\nforged: line\x7f");
	assert_string_equal(captured(), "lucid: name \"?[2J??forged: line?\"\n");
}

/* U+009B is ESC [ in one character; and what is no UTF-8 can be that to other terminals. */
static void nor_those_beyond_ascii(void **state)
{
	(void)state;
	capture();
	log_error("\xc2\x9b%s\x9b%s n\xc3\xb6 \xe2\x82\xac \xf0\x9f\x98\x80 \xe2\x82", "2J", "2J");
	assert_string_equal(
		captured(), "lucid: ??2J?2J n\xc3\xb6 \xe2\x82\xac \xf0\x9f\x98\x80 ??\n");
}

static void a_long_line_is_cut(void **state)
{
	char text[3000];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 0;
	capture();
	log_error("%s", text);
	const char *line = captured();
	assert_true(strlen(line) < 1100);
	assert_int_equal(line[strlen(line) - 1], '\n');
}

static void errno_survives(void **state)
{
	(void)state;
	capture();
	errno = EXDEV;
	log_error("x");
	int after = errno;
	captured();
	assert_int_equal(after, EXDEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_of_lines),
		cmocka_unit_test(control_characters_do_not_reach_the_terminal),
		cmocka_unit_test(nor_those_beyond_ascii),
		cmocka_unit_test(a_long_line_is_cut),
		cmocka_unit_test(errno_survives),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
