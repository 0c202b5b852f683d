/* SPDX-License-Identifier: MIT */
/*
 * The session from end to end: Lucid's own standard streams, signals and terminal on one side,
 * the agent on the other. Only the virtual machine between them is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "test/unit/session_rig.h"

#define NOBODY 65534

static int null_fd;

/* All that comes until the end of the stream. */
static size_t read_all(int fd, char *to, size_t max)
{
	size_t len = 0;
	ssize_t n;

	while (len < max && (n = read(fd, to + len, max - len)) > 0)
		len += n;
	return len;
}

static void read_until(int fd, const char *word)
{
	char text[4096] = "";
	size_t len = 0;

	while (!strstr(text, word)) {
		ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);

		assert_true(n > 0);
		len += n;
	}
}

/* Runs with this stdin, stdout and stderr in files; checks all. */
static void run_on(const struct rig_case *c, int in, int status, const char *out, const char *err)
{
	int o = memfd_create("out", MFD_CLOEXEC), e = memfd_create("err", MFD_CLOEXEC);
	char text[4096];
	ssize_t n;

	assert_int_equal(rig_wait(rig_start(c, in, o, e)), status);
	n = pread(e, text, sizeof(text) - 1, 0);
	text[n] = 0;
	assert_string_equal(text, err);
	n = pread(o, text, sizeof(text) - 1, 0);
	text[n] = 0;
	assert_string_equal(text, out);
	close(o);
	close(e);
}

static void run(const char *script, int status, const char *out, const char *err)
{
	const struct rig_case c = {.script = script};

	run_on(&c, null_fd, status, out, err);
}

static void test_status(void **state)
{
	(void)state;
	run("echo out; echo err >&2; exit 3", 3, "out\n", "err\n");
	run("kill -9 $$", 137, "", "");
	run("exec /no/such/command", 127, "", "sh: 1: exec: /no/such/command: not found\n");
}

static void test_stdin_kinds(void **state)
{
	const struct rig_case c = {.script = "cat; echo end"};
	int file = memfd_create("in", MFD_CLOEXEC), p[2], s[2];

	(void)state;
	run_on(&c, null_fd, 0, "end\n", "");
	run_on(&c, -1, 0, "end\n", "");

	assert_int_equal(write(file, "skip file\n", 10), 10);
	lseek(file, 5, SEEK_SET);
	run_on(&c, file, 0, "file\nend\n", "");
	close(file);

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(write(p[1], "pipe\n", 5), 5);
	close(p[1]);
	run_on(&c, p[0], 0, "pipe\nend\n", "");
	close(p[0]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	assert_int_equal(write(s[1], "socket\n", 7), 7);
	close(s[1]);
	run_on(&c, s[0], 0, "socket\nend\n", "");
	close(s[0]);

	file = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	run_on(&c, file, 0, "end\n", "");
	close(file);
}

static int numbers(size_t size)
{
	int fd = memfd_create("numbers", MFD_CLOEXEC);
	uint32_t *data = malloc(size);

	for (size_t i = 0; i < size / 4; i++)
		data[i] = i * 2654435761U;
	assert_int_equal(write(fd, data, size), size);
	lseek(fd, 0, SEEK_SET);
	free(data);
	return fd;
}

static long cpu_ms(void)
{
	struct rusage r;

	getrusage(RUSAGE_CHILDREN, &r);
	return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000 +
	       (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1000;
}

/* Through everything and back, with a reader that waits first: no loss, no busy waiting. */
static void back_and_forth(const struct rig_case *c, int out[2])
{
	const size_t size = 3 << 20;
	int in = numbers(size), flags = fcntl(out[1], F_GETFL);
	char *sent = mmap(NULL, size, PROT_READ, MAP_PRIVATE, in, 0), *got = malloc(size + 1);
	long cpu = cpu_ms();
	pid_t pid = rig_start(c, in, out[1], 2);

	usleep(400000);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	assert_int_equal(fcntl(out[1], F_GETFL), flags);
	close(out[1]);
	assert_int_equal(read_all(out[0], got, size + 1), size);
	assert_memory_equal(got, sent, size);
	assert_int_equal(rig_wait(pid), 0);
	assert_true(cpu_ms() - cpu < 350);
	close(out[0]);
	close(in);
	free(got);
	munmap(sent, size);
}

static void test_bulk(void **state)
{
	struct rig_case c = {.script = "cat"};
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	back_and_forth(&c, p);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
	back_and_forth(&c, p);
	if (getuid() == 0) {
		/* A pipe that somebody else made cannot be opened anew. */
		c.uid = NOBODY;
		assert_int_equal(pipe2(p, O_CLOEXEC), 0);
		assert_int_equal(fchmod(p[1], 0600), 0);
		back_and_forth(&c, p);
	}
}

/* Both streams may be one file, shared with others, which keeps its offset. */
static void test_one_file(void **state)
{
	const struct rig_case c = {
		.script = "echo out; sleep 0.2; echo err >&2; sleep 0.2; echo out"};
	int file = memfd_create("both", MFD_CLOEXEC);
	char text[64];

	(void)state;
	assert_int_equal(write(file, "before\n", 7), 7);
	assert_int_equal(rig_wait(rig_start(&c, null_fd, file, file)), 0);
	assert_int_equal(write(file, "after\n", 6), 6);
	assert_int_equal(pread(file, text, sizeof(text), 0), 25);
	assert_memory_equal(text, "before\nout\nerr\nout\nafter\n", 25);
	close(file);
}

/* The reader goes away: the command learns by SIGPIPE. */
static void test_reader_gone(void **state)
{
	const struct rig_case c = {.script = "yes; echo $? >&2; exit 9"};
	int out[2], err = memfd_create("err", MFD_CLOEXEC);
	char text[64];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = rig_start(&c, null_fd, out[1], err);
	close(out[1]);
	assert_int_equal(read(out[0], text, 4), 4);
	close(out[0]);
	assert_int_equal(rig_wait(pid), 9);
	assert_int_equal(pread(err, text, sizeof(text), 0), 4);
	assert_memory_equal(text, "141\n", 4);
	close(err);
}

/* The command goes on without reading: so does Lucid, and its writer learns. */
static void test_writer_learns(void **state)
{
	const struct rig_case c = {.script = "exec <&-; sleep 0.5; echo on"};
	char data[65536] = {0};
	int in[2], out[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = rig_start(&c, in[0], out[1], 2);
	close(in[0]);
	close(out[1]);
	while (write(in[1], data, sizeof(data)) > 0)
		;
	assert_int_equal(errno, EPIPE);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* long before the end */
	read_until(out[0], "on\n");
	assert_int_equal(rig_wait(pid), 0);
	close(in[1]);
	close(out[0]);
}

static void test_output_lost(void **state)
{
	const struct rig_case c = {.script = "echo lost; exit 0"};
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
	char text[128];
	ssize_t n;

	(void)state;
	assert_int_equal(rig_wait(rig_start(&c, null_fd, full, err)), 125);
	n = pread(err, text, sizeof(text) - 1, 0);
	text[n] = 0;
	assert_string_equal(text, "lucid: cannot write to stdout: No space left on device\n");
	/* Closed from the start, it is nobody's loss. */
	assert_int_equal(rig_wait(rig_start(&c, null_fd, -1, err)), 0);
	close(full);
	close(err);
}

/* Sends signals to Lucid once the script has said "set". */
static void signalled(const char *script, int first, int second, int status)
{
	const struct rig_case c = {.script = script};
	int out[2];
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = rig_start(&c, null_fd, out[1], 2);
	close(out[1]);
	read_until(out[0], "set\n");
	kill(pid, first);
	if (second) {
		usleep(200000);
		kill(pid, second);
	}
	assert_int_equal(rig_wait(pid), status);
	close(out[0]);
}

static void test_signals(void **state)
{
	(void)state;
	signalled("trap 'exit 5' INT; echo set; while :; do sleep 0.05; done", SIGINT, 0, 5);
	signalled("trap 'exit 6' HUP; echo set; while :; do sleep 0.05; done", SIGHUP, 0, 6);
	signalled("trap 'exit 7' USR1; echo set; while :; do sleep 0.05; done", SIGUSR1, 0, 7);
	signalled("trap 'exit 8' TERM; echo set; while :; do sleep 0.05; done", SIGTERM, 0, 8);
	signalled("echo set; exec sleep 20", SIGTERM, 0, 143);
	signalled("trap '' TERM INT; echo set; timeout 10 sh -c 'while :; do sleep 0.1; done'",
		SIGINT, SIGQUIT, 131);
	signalled("trap '' TERM; echo set; while :; do sleep 0.1; done", SIGTERM, SIGTERM, 143);
}

/* ---- Guests that are not the agent ---------------------------------------------------------- */

static void guest_silent(int fd[PORT_COUNT])
{
	(void)fd;
	sleep(20);
}

static void test_signal_in_boot(void **state)
{
	const struct rig_case c = {.script = "true", .guest = guest_silent};
	pid_t pid = rig_start(&c, null_fd, 1, 2);

	(void)state;
	usleep(200000);
	kill(pid, SIGINT);
	assert_int_equal(rig_wait(pid), 130);
}

static void guest_nothing(int fd[PORT_COUNT])
{
	(void)fd;
}

static void guest_junk(int fd[PORT_COUNT])
{
	char junk[5000];

	memset(junk, 'j', sizeof(junk));
	if (write(fd[PORT_CONTROL], junk, sizeof(junk)) < 0)
		_exit(1);
}

static void guest_other_version(int fd[PORT_COUNT])
{
	rig_hello(fd, 99);
}

static void guest_hello_twice(int fd[PORT_COUNT])
{
	rig_hello(fd, AGENT_VERSION);
	rig_hello(fd, AGENT_VERSION);
}

static void guest_exits_first(int fd[PORT_COUNT])
{
	struct agent_exited exited = {0};

	rig_hello(fd, AGENT_VERSION);
	message_send(fd[PORT_CONTROL], AGENT_EXITED, &exited, sizeof(exited));
}

static void guest_writes_input(int fd[PORT_COUNT])
{
	rig_hello(fd, AGENT_VERSION);
	if (write(fd[PORT_STDIN], "x", 1) < 0)
		_exit(1);
	sleep(1);
}

/* Says that it has ended before its output is there, and counts too much. */
static void guest_miscounts(int fd[PORT_COUNT])
{
	struct agent_exited exited = {.status = 4, .stdout_bytes = 1000};

	rig_hello(fd, AGENT_VERSION);
	message_send(fd[PORT_CONTROL], AGENT_STARTED, NULL, 0);
	message_send(fd[PORT_CONTROL], AGENT_EXITED, &exited, sizeof(exited));
	message_send(fd[PORT_CONTROL], AGENT_STARTED, NULL, 0); /* after the end: nothing */
	usleep(200000);
	if (write(fd[PORT_STDOUT], "late\n", 5) < 0)
		_exit(1);
}

static void guest_error(int fd[PORT_COUNT])
{
	struct failure f = {{126}, "no \033way"};

	rig_hello(fd, AGENT_VERSION);
	message_send_failure(fd[PORT_CONTROL], &f);
}

static void hostile(void (*guest)(int fd[PORT_COUNT]), int status, const char *out, const char *err)
{
	const struct rig_case c = {.script = "true", .guest = guest};

	run_on(&c, null_fd, status, out, err);
}

#define AGENT_WORD "lucid: the guest's agent "
#define AGENT_HINT "; are its kernel and initramfs of this Lucid?\n"

static void test_hostile(void **state)
{
	(void)state;
	hostile(guest_nothing, 125, "", "");
	hostile(guest_junk, 125, "", AGENT_WORD "sent something that is no message" AGENT_HINT);
	hostile(guest_other_version, 125, "",
		AGENT_WORD "speaks version 99, this Lucid 3; build both anew\n");
	hostile(guest_hello_twice, 125, "", AGENT_WORD "says HELLO twice" AGENT_HINT);
	hostile(guest_exits_first, 125, "", AGENT_WORD "says EXITED out of turn" AGENT_HINT);
	hostile(guest_writes_input, 125, "", AGENT_WORD "writes to the command's input" AGENT_HINT);
	hostile(guest_miscounts, 4, "late\n", "");
	hostile(guest_error, 126, "", "lucid: no ?way\n");
}

/* ---- Terminal ------------------------------------------------------------------------------- */

static int open_terminal(int *slave)
{
	struct winsize w = {.ws_row = 30, .ws_col = 70};
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	assert_true(master >= 0);
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	*slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(*slave >= 0);
	assert_int_equal(ioctl(master, TIOCSWINSZ, &w), 0);
	return master;
}

static bool is_raw(int fd)
{
	struct termios t;

	assert_int_equal(tcgetattr(fd, &t), 0);
	return !(t.c_lflag & ICANON) && !(t.c_oflag & OPOST);
}

static void test_terminal(void **state)
{
	const struct rig_case c = {
		.script =
			"stty size; trap 'echo winch' WINCH; echo set; read x; stty size; exit 11",
		.tty = true};
	struct winsize w = {.ws_row = 31, .ws_col = 71};
	int slave, master = open_terminal(&slave);
	pid_t pid = rig_start(&c, slave, slave, slave);

	(void)state;
	read_until(master, "30 70\r\nset\r\n");
	assert_true(is_raw(slave));
	/* It has no controlling terminal here, which would bring SIGWINCH by itself. */
	assert_int_equal(ioctl(master, TIOCSWINSZ, &w), 0);
	kill(pid, SIGWINCH);
	usleep(200000);
	assert_int_equal(write(master, "x\r", 2), 2);
	read_until(master, "31 71\r\n");
	assert_int_equal(rig_wait(pid), 11);
	assert_false(is_raw(slave));
	close(slave);
	close(master);
}

/* Ctrl-C is the guest's; SIGTERM is ours; either way the terminal is as before. */
static void test_terminal_ends(void **state)
{
	const struct rig_case c = {.script = "echo set; exec sleep 20", .tty = true};
	const int ends[] = {SIGTERM, SIGHUP, SIGSEGV, 0};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		int slave, master = open_terminal(&slave), status;
		pid_t pid = rig_start(&c, slave, slave, slave);

		read_until(master, "set\r\n");
		assert_true(is_raw(slave));
		if (ends[i])
			kill(pid, ends[i]);
		else
			assert_int_equal(write(master, "\003", 1), 1);
		status = rig_wait(pid);
		/* Sanitizers make an exit of a SIGSEGV. */
		if (ends[i] == SIGSEGV)
			assert_true(status != 0);
		else
			assert_true(status == 128 + (ends[i] ? ends[i] : SIGINT) || status == 143 ||
				    status == 129);
		assert_false(is_raw(slave));
		close(slave);
		close(master);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_stdin_kinds),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_one_file),
		cmocka_unit_test(test_reader_gone),
		cmocka_unit_test(test_writer_learns),
		cmocka_unit_test(test_output_lost),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_signal_in_boot),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_terminal_ends),
	};

	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); /* of whoever started the test */
	signal(SIGPIPE, SIG_IGN);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
