/* SPDX-License-Identifier: MIT */
/* Names of machines: one owner at a time, and no ghosts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/rundir.h"

static char base[] = "/tmp/lucid-unit-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	strcpy(strrchr(base, '-') + 1, "XXXXXX");
	if (!mkdtemp(base))
		return -1;
	return setenv("XDG_RUNTIME_DIR", base, 1);
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", base);
	return system(command);
}

static size_t count(void)
{
	char **names;
	size_t n;

	assert_int_equal(rundir_list(&names, &n), 0);
	rundir_free(names, n);
	return n;
}

static bool exists(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/lucid/%s", base, name);
	return access(path, F_OK) == 0;
}

static void names(void **state)
{
	char longest[RUNDIR_NAME_MAX + 2];

	(void)state;
	assert_true(rundir_name_valid("a"));
	assert_true(rundir_name_valid("Web-1.x_y"));
	assert_false(rundir_name_valid(""));
	assert_false(rundir_name_valid("."));
	assert_false(rundir_name_valid("-x"));
	assert_false(rundir_name_valid("../x"));
	assert_false(rundir_name_valid("a/b"));
	assert_false(rundir_name_valid("a b"));
	memset(longest, 'x', sizeof(longest));
	longest[RUNDIR_NAME_MAX + 1] = '\0';
	assert_false(rundir_name_valid(longest));
	longest[RUNDIR_NAME_MAX] = '\0';
	assert_true(rundir_name_valid(longest));
}

static void claims(void **state)
{
	struct rundir_claim a, b, c;
	int dir;

	(void)state;
	assert_int_equal(rundir_claim(&a, "one", true), 0);
	assert_int_equal(rundir_claim(&b, "one", true), -1);
	assert_int_equal(b.dir, -1);
	rundir_release(&b); /* does nothing */
	assert_int_equal(rundir_claim(&c, NULL, true), 0);
	assert_int_equal(count(), 2);
	dir = rundir_enter("one");
	assert_true(dir >= 0);
	close(dir);
	assert_int_equal(rundir_enter("two"), -1);
	assert_int_equal(errno, ENOENT);
	rundir_release(&a);
	assert_int_equal(count(), 1);
	assert_int_equal(rundir_claim(&a, "one", true), 0);
	rundir_release(&a);
	rundir_release(&c);
	/* Nothing at all is left. */
	assert_false(exists(""));
}

/* A monitor that was killed. */
static void make_ghost(const char *name)
{
	pid_t child = fork();

	if (child == 0) {
		struct rundir_claim c;

		if (rundir_claim(&c, name, true) < 0 || rundir_write(&c, RUNDIR_INFO, "{}") < 0)
			_exit(1);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void ghosts(void **state)
{
	struct rundir_claim c;

	(void)state;
	make_ghost("ghost");
	assert_true(exists("ghost"));
	assert_int_equal(rundir_enter("ghost"), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(count(), 0);
	assert_false(exists("ghost")); /* buried by whoever looked */
	make_ghost("ghost");
	assert_int_equal(rundir_claim(&c, "ghost", true), 0);
	assert_false(exists("ghost/" RUNDIR_INFO));
	rundir_release(&c);
}

static void whole_or_not(void **state)
{
	struct rundir_claim c;
	char text[8] = "";
	int fd;

	(void)state;
	assert_int_equal(rundir_claim(&c, "x", true), 0);
	assert_int_equal(rundir_write(&c, RUNDIR_INFO, "old"), 0);
	assert_int_equal(rundir_write(&c, RUNDIR_INFO, "new"), 0);
	assert_false(exists("x/" RUNDIR_INFO ".new"));
	fd = openat(c.dir, RUNDIR_INFO, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text)), 3);
	close(fd);
	assert_string_equal(text, "new");
	rundir_release(&c);
}

/* Writes one text and another in turns until it is killed; who looks then finds one of them whole.
 */
static void killed_while_it_writes(void **state)
{
	static char text[2][20000], got[sizeof(text[0]) + 1];
	char path[128];

	(void)state;
	memset(text[0], 'a', sizeof(text[0]) - 1);
	memset(text[1], 'b', sizeof(text[1]) - 2);
	snprintf(path, sizeof(path), "%s/lucid/x/" RUNDIR_INFO, base);
	for (int round = 0; round < 100; round++) {
		const struct timespec moment = {.tv_nsec = 1000 * (round * 37 % 400)};
		int ready[2], fd;
		char byte;

		assert_int_equal(pipe(ready), 0);
		pid_t child = fork();
		if (child == 0) {
			struct rundir_claim c;

			if (rundir_claim(&c, "x", true) < 0)
				_exit(1);
			for (int i = 0;; i++) {
				if (rundir_write(&c, RUNDIR_INFO, text[i % 2]) < 0)
					_exit(1);
				if (i == 0 && write(ready[1], "", 1) < 0)
					_exit(1);
			}
		}
		close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		close(ready[0]);
		nanosleep(&moment, NULL);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		fd = open(path, O_RDONLY);
		assert_true(fd >= 0);
		memset(got, 0, sizeof(got));
		assert_true(read(fd, got, sizeof(got)) > 0);
		close(fd);
		assert_true(strcmp(got, text[0]) == 0 || strcmp(got, text[1]) == 0);
	}
	/* Nothing is left of the last one either. */
	assert_int_equal(count(), 0);
	assert_false(exists("x"));
}

/* Many want one name at a time, again and again: never two have it, and somebody always gets it. */
static void races(void **state)
{
	int status, got = 0;

	(void)state;
	for (int i = 0; i < 16; i++) {
		if (fork() != 0)
			continue;
		char path[128];
		int mine = 0;

		/* Who finds it taken says so; that is not what is tested. */
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		snprintf(path, sizeof(path), "%s/owner", base);
		for (int round = 0; round < 50; round++) {
			struct rundir_claim c;

			if (rundir_claim(&c, "prize", true) < 0)
				continue;
			if (mkdir(path, 0700) < 0 || rmdir(path) < 0)
				_exit(99); /* somebody else has it too */
			mine++;
			rundir_release(&c);
		}
		_exit(mine);
	}
	while (wait(&status) > 0) {
		assert_true(WIFEXITED(status));
		assert_int_not_equal(WEXITSTATUS(status), 99);
		got += WEXITSTATUS(status);
	}
	assert_true(got >= 50);
}

/* Each wants a name of its own, and everybody looks for the dead all the time: all get theirs. */
static void no_burials_of_the_living(void **state)
{
	int status;

	(void)state;
	for (int i = 0; i < 24; i++) {
		char name[16];

		if (fork() != 0)
			continue;
		snprintf(name, sizeof(name), "n%d", i);
		for (int round = 0; round < 100; round++) {
			struct rundir_claim c;
			int dir;

			if (rundir_claim(&c, name, true) < 0)
				_exit(1);
			dir = rundir_enter(name);
			if (dir < 0 || rundir_write(&c, RUNDIR_INFO, "{}") < 0)
				_exit(2);
			close(dir);
			if (round % 10 == 9)
				rundir_release(&c);
			else /* as if it had died */
				close(c.lock), close(c.dir), free(c.path);
		}
		_exit(0);
	}
	while (wait(&status) > 0)
		assert_int_equal(status, 0);
}

static void others_are_kept_out(void **state)
{
	struct rundir_claim c;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/lucid", base);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(rundir_claim(&c, "x", true), -1);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_int_equal(rundir_claim(&c, "x", true), -1);
	assert_int_equal(unlink(path), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		TEST(claims),
		TEST(ghosts),
		TEST(whole_or_not),
		TEST(killed_while_it_writes),
		TEST(races),
		TEST(no_burials_of_the_living),
		TEST(others_are_kept_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
