/* SPDX-License-Identifier: MIT */
/*
 * The agent's command running, against sockets in place of ports: the test is the monitor. Each
 * test starts an agent of its own.
 */
#include <errno.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/unit/agent_rig.h"

/* Runs a script with empty input to its end. */
static void run(const char *script, uint32_t status, const char *out, const char *err)
{
	struct guest g;

	agent_start(&g);
	start_script(&g, script, false);
	hang_up(&g, PORT_STDIN);
	assert_int_equal(await(&g, true), AGENT_STARTED);
	await_exit(&g, status);
	assert_string_equal(g.out, out);
	assert_string_equal(g.err, err);
	agent_end(&g);
}

static void test_status(void **state)
{
	(void)state;
	run("exit 0", 0, "", "");
	run("exit 255", 255, "", "");
	run("kill -9 $$", 137, "", "");
	run("kill -TERM $$", 143, "", "");
}

static void test_streams(void **state)
{
	(void)state;
	run("echo out; echo err >&2; exit 3", 3, "out\n", "err\n");
	run("cat; echo end", 0, "end\n", "");
	run("test -t 0 || test -t 1 || echo none", 0, "none\n", "");
}

static void test_session_of_its_own(void **state)
{
	(void)state;
	run("set -- $(cat /proc/$$/stat); test $5 = $$ && test $6 = $$ && echo leader", 0,
		"leader\n", "");
	run("trap", 0, "", "");
	run("grep -E 'SigBlk|SigIgn' /proc/self/status", 0,
		"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n", "");
	run("ls /proc/self/fd | wc -l", 0, "4\n", "");
}

static void cannot_run(char *name, uint32_t status, const char *text)
{
	char *argv[] = {name, NULL};
	struct vm_command c = {.argv = argv, .uid = getuid(), .gid = getgid()};
	struct guest g;

	agent_start(&g);
	start(&g, &c);
	assert_int_equal(await(&g, true), AGENT_ERROR);
	assert_int_equal(g.last.error.status, status);
	assert_string_equal(g.last.text, text);
	agent_end(&g);
}

static void test_cannot_run(void **state)
{
	(void)state;
	cannot_run("no-such-command", 127, "no-such-command: not found");
	cannot_run("/no/such/file", 127, "/no/such/file: not found");
	cannot_run("/etc/passwd", 126, "/etc/passwd: Permission denied");
	cannot_run("/tmp", 126, "/tmp: Permission denied");
}

static void test_environment(void **state)
{
	char *argv[] = {
		"sh", "-c", "echo $A $PATH; pwd; echo $LANG $TERM; env | grep -c ^PATH=", NULL};
	char *env[] = {"A=b c", "PATH=/bin:/usr/bin", NULL};
	struct vm_command c = {
		.argv = argv, .env = env, .workdir = "/usr", .uid = getuid(), .gid = getgid()};
	struct guest g;

	(void)state;
	agent_start(&g);
	start(&g, &c);
	assert_int_equal(await(&g, true), AGENT_STARTED);
	await_exit(&g, 0);
	assert_string_equal(g.out, "b c /bin:/usr/bin\n/usr\nC.UTF-8 dumb\n1\n");
	agent_end(&g);

	c.workdir = "/no/such/dir";
	agent_start(&g);
	start(&g, &c);
	assert_int_equal(await(&g, true), AGENT_ERROR);
	assert_int_equal(g.last.error.status, 125);
	agent_end(&g);
}

/* A reader that is slow holds the command up, and nothing is lost. */
static void test_back_pressure(void **state)
{
	struct guest g;
	struct pollfd p;

	(void)state;
	agent_start(&g);
	start_script(&g, "head -c 3000000 /dev/zero; echo done >&2", false);
	assert_int_equal(await(&g, false), AGENT_STARTED);
	p = (struct pollfd){.fd = g.port[PORT_CONTROL], .events = POLLIN};
	assert_int_equal(poll(&p, 1, 300), 0); /* it cannot have ended */
	assert_int_equal(await(&g, true), AGENT_EXITED);
	assert_int_equal(g.last.exited.stdout_bytes, 3000000);
	collect_rest(&g);
	assert_string_equal(g.err, "done\n");
	agent_end(&g);
}

/* All bytes come back as they went, whichever side is the slower. */
static void test_echo(void **state)
{
	unsigned char *sent = malloc(1 << 20);
	size_t done = 0, size = 1 << 20;
	struct guest g;

	(void)state;
	for (size_t i = 0; i < size; i++)
		sent[i] = i * 7 + (i >> 8);
	agent_start(&g);
	start_script(&g, "cat", false);
	assert_int_equal(await(&g, true), AGENT_STARTED);
	while (done < size) {
		struct pollfd fds[] = {
			{.fd = g.port[PORT_STDIN], .events = POLLOUT},
			{.fd = g.port[PORT_STDOUT], .events = POLLIN},
		};

		assert_true(poll(fds, 2, TIMEOUT_MS) > 0);
		if (fds[0].revents) {
			ssize_t n =
				send(g.port[PORT_STDIN], sent + done, size - done, MSG_DONTWAIT);

			assert_true(n > 0 || errno == EAGAIN);
			done += n > 0 ? n : 0;
		}
		if (fds[1].revents)
			take(&g, PORT_STDOUT, g.out, &g.out_len);
	}
	hang_up(&g, PORT_STDIN);
	await_exit(&g, 0);
	assert_int_equal(g.out_len, size);
	assert_memory_equal(g.out, sent, size);
	free(sent);
	agent_end(&g);
}

/* The host learns that nobody reads the input any more. */
static void test_input_closed_early(void **state)
{
	struct guest g;
	struct pollfd p;

	(void)state;
	agent_start(&g);
	start_script(&g, "exec <&-; sleep 0.2; echo on", false);
	assert_int_equal(await(&g, true), AGENT_STARTED);
	p = (struct pollfd){.fd = g.port[PORT_STDIN], .events = POLLIN};
	assert_int_equal(poll(&p, 1, TIMEOUT_MS), 1);
	assert_true(p.revents & POLLHUP);
	await_exit(&g, 0);
	assert_string_equal(g.out, "on\n");
	agent_end(&g);
}

/* Whoever keeps the pipes open after the command does not keep the guest up. */
static void test_left_behind(void **state)
{
	struct guest g;

	(void)state;
	run("sleep 5 & echo first", 0, "first\n", "");
	agent_start(&g);
	start_script(&g, "timeout 5 yes & sleep 0.1; exit 4", false);
	assert_int_equal(await(&g, true), AGENT_STARTED);
	assert_int_equal(await(&g, true), AGENT_EXITED);
	assert_int_equal(g.last.exited.status, 4);
	agent_end(&g);
}

static void test_output_closed(void **state)
{
	struct agent_closed closed = {1};
	struct guest g;

	(void)state;
	agent_start(&g);
	start_script(&g, "yes; echo $? >&2", false);
	assert_int_equal(await(&g, false), AGENT_STARTED);
	say(&g, AGENT_CLOSED, &closed, sizeof(closed));
	assert_int_equal(await(&g, true), AGENT_EXITED);
	assert_int_equal(g.last.exited.status, 0);
	collect_rest(&g);
	assert_string_equal(g.err, "141\n");
	agent_end(&g);
}

static void test_signal(void **state)
{
	struct guest g;

	(void)state;
	agent_start(&g);
	start_script(
		&g, "trap 'echo got; exit 7' INT; echo set; while :; do sleep 0.05; done", false);
	assert_int_equal(await(&g, true), AGENT_STARTED);
	while (!g.out_len)
		take(&g, PORT_STDOUT, g.out, &g.out_len);
	say_signal(&g, SIGINT);
	await_exit(&g, 7);
	assert_string_equal(g.out, "set\ngot\n");
	agent_end(&g);
}

static void test_shutdown(void **state)
{
	struct guest g;

	(void)state;
	agent_start(&g);
	start_script(&g, "exec sleep 20", false);
	assert_int_equal(await(&g, true), AGENT_STARTED);
	say(&g, AGENT_SHUTDOWN, NULL, 0);
	await_exit(&g, 143);
	agent_end(&g);

	/* One that does not listen. */
	agent_start(&g);
	start_script(&g, "trap '' TERM; echo set; while :; do sleep 0.5; done", false);
	assert_int_equal(await(&g, true), AGENT_STARTED);
	while (!g.out_len)
		take(&g, PORT_STDOUT, g.out, &g.out_len);
	say(&g, AGENT_SHUTDOWN, NULL, 0);
	await_exit(&g, 137);
	agent_end(&g);

	/* Before there is a command, there is nothing to end but the agent. */
	agent_start(&g);
	say(&g, AGENT_SHUTDOWN, NULL, 0);
	assert_int_equal(await(&g, true), 0);
	agent_end(&g);
}

static void test_terminal(void **state)
{
	struct agent_winsize size = {10, 20, 0, 0};
	struct guest g;

	(void)state;
	agent_start(&g);
	start_script(&g,
		"tty -s && stty size; read x; stty size; echo \"<$x>\"; read y || echo eof", true);
	assert_int_equal(await(&g, true), AGENT_STARTED);
	while (!strchr(g.out, '\n'))
		take(&g, PORT_STDOUT, g.out, &g.out_len);
	assert_string_equal(g.out, "33 99\r\n");
	say(&g, AGENT_WINSIZE, &size, sizeof(size));
	usleep(100000); /* two ports: their order is not defined */
	assert_int_equal(write(g.port[PORT_STDIN], "hi\r", 3), 3);
	hang_up(&g, PORT_STDIN);
	await_exit(&g, 0);
	assert_string_equal(g.out, "33 99\r\nhi\r\n10 20\r\n<hi>\r\neof\r\n");
	agent_end(&g);
}

static void test_terminal_interrupt(void **state)
{
	struct guest g;

	(void)state;
	agent_start(&g);
	start_script(&g, "echo on; exec sleep 20", true);
	assert_int_equal(await(&g, true), AGENT_STARTED);
	while (!strchr(g.out, '\n'))
		take(&g, PORT_STDOUT, g.out, &g.out_len);
	assert_int_equal(write(g.port[PORT_STDIN], "\003", 1), 1);
	await_exit(&g, 130);
	agent_end(&g);

	/* Someone stays behind on the terminal. */
	agent_start(&g);
	start_script(&g, "trap '' HUP; sleep 5 & seq 2000", true);
	assert_int_equal(await(&g, true), AGENT_STARTED);
	await_exit(&g, 0);
	assert_int_equal(g.out_len, 9 * 3 + 90 * 4 + 900 * 5 + 1001 * 6);
	agent_end(&g);
}

static void test_monitor_gone(void **state)
{
	struct guest g;

	(void)state;
	agent_start(&g);
	start_script(&g, "exec sleep 20", false);
	assert_int_equal(await(&g, true), AGENT_STARTED);
	say_signal(&g, SIGKILL);
	hang_up(&g, PORT_CONTROL);
	agent_end(&g);
}

static void expect_error(const void *data, size_t len)
{
	struct guest g;

	agent_start(&g);
	assert_int_equal(write(g.port[PORT_CONTROL], data, len), len);
	assert_int_equal(await(&g, true), AGENT_ERROR);
	assert_int_equal(g.last.error.status, 125);
	agent_end(&g);
}

static void test_bad_start(void **state)
{
	struct {
		struct agent_header header;
		struct agent_start start;
		char strings[8];
	} m = {.header = {AGENT_START, sizeof(m) - sizeof(m.header)},
		.start = {.version = AGENT_VERSION + 1}};

	(void)state;
	expect_error(&m, sizeof(m));
	m.start.version = AGENT_VERSION;
	m.start.argc = 6; /* one string too many */
	expect_error(&m, sizeof(m));
	m.start.argc = 0xffffffff;
	expect_error(&m, sizeof(m));
	m.start.argc = 4; /* one too few */
	expect_error(&m, sizeof(m));
	memset(m.strings, 'x', sizeof(m.strings)); /* no NUL */
	expect_error(&m, sizeof(m));
	m.header.length = 7;
	expect_error(&m, sizeof(m.header) + 7);
	m.header = (struct agent_header){AGENT_SIGNAL, 0};
	expect_error(&m.header, sizeof(m.header));
}

static void test_user(void **state)
{
	char passwd[] = "/tmp/test-agent-XXXXXX", group[] = "/tmp/test-agent-XXXXXX";
	FILE *p = fdopen(mkstemp(passwd), "w"), *g = fdopen(mkstemp(group), "w");
	struct user *u = malloc(sizeof(*u));
	char *given[] = {"HOME=/h", NULL}, **env;

	(void)state;
	fputs("root:x:0:0:root:/root:/bin/bash\nann:x:1000:100:Ann:/home/ann:/bin/zsh\n", p);
	fputs("a:x:5:bob\nmain:x:100:ann\nb:x:6:bob,ann\nc:x:7:ann\nd:x:8:annie\n", g);
	fclose(p);
	fclose(g);

	user_find(u, 1000, 100, passwd, group);
	assert_string_equal(u->home, "/home/ann");
	assert_int_equal(u->group_count, 3);
	assert_int_equal(u->groups[0], 100);
	assert_int_equal(u->groups[2], 7);
	env = user_environment(u, given, true);
	assert_string_equal(env[1], "USER=ann");
	assert_string_equal(env[3], "SHELL=/bin/zsh");
	assert_string_equal(env[5], "TERM=linux");
	assert_string_equal(env[6], "HOME=/h");
	assert_null(env[7]);
	for (int i = 0; i < 6; i++)
		free(env[i]);
	free(env);

	user_find(u, 42, 43, passwd, group);
	assert_string_equal(u->home, "/");
	assert_int_equal(u->group_count, 1);
	user_find(u, 0, 0, "/no/such", "/no/such");
	assert_string_equal(u->name, "root");
	assert_string_equal(u->home, "/root");
	free(u);
	unlink(passwd);
	unlink(group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_session_of_its_own),
		cmocka_unit_test(test_cannot_run),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_back_pressure),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_input_closed_early),
		cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_output_closed),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_terminal_interrupt),
		cmocka_unit_test(test_monitor_gone),
		cmocka_unit_test(test_bad_start),
		cmocka_unit_test(test_user),
	};

	signal(SIGPIPE, SIG_IGN);
	/* make has glibc's own two ignored, which signal() cannot name; a guest's agent has not. */
	for (int i = 32; i <= 33; i++)
		syscall(SYS_rt_sigaction, i, &(struct {
			void *handler;
			unsigned long rest[3];
		}){0},
			NULL, 8);
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); /* of whoever started the test */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
