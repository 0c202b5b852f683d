/* SPDX-License-Identifier: MIT */
/* Copies of files and folders, and streams that would like to write elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/tree.h"

static char base[] = "/tmp/lucid-unit-XXXXXX";
static char last_error[8192];

static void remember(const char *line)
{
	snprintf(last_error, sizeof(last_error), "%s", line);
}

/* In the test's folder; the status. */
static int sh(const char *fmt, ...)
{
	char script[4096], command[5000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(script, sizeof(script), fmt, ap);
	va_end(ap);
	snprintf(command, sizeof(command), "cd %s && %s", base, script);
	return system(command);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(strrchr(base, '-') + 1, "XXXXXX");
	last_error[0] = '\0';
	return mkdtemp(base) && chdir(base) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	if (chdir("/") < 0)
		return -1;
	return sh("chmod -R u+rwx . && rm -rf %s", base);
}

/* Sends from and receives at to; both ends' results. */
static bool copy(const char *from, const char *to)
{
	int ends[2], status;
	pid_t child;
	bool ok;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		_exit(!tree_send(from, ends[1], remember));
	}
	close(ends[1]);
	ok = tree_receive(ends[0], to, remember);
	close(ends[0]);
	waitpid(child, &status, 0);
	return ok && status == 0;
}

static void a_folder_as_it_was(void **state)
{
	(void)state;
	assert_int_equal(sh("mkdir -p src/a/b src/empty dst; echo x > src/f; : > src/a/none;"
			    "head -c 300000 /dev/urandom > src/a/b/big; chmod 750 src/f;"
			    "ln -s ../f src/a/link; ln -s /nowhere src/dangling;"
			    "touch -d 2001-02-03 src/f src/a; chmod 555 src/a/b"),
		0);
	assert_true(copy("src", "dst"));
	assert_int_equal(sh("diff -r --no-dereference src dst/src"), 0);
	assert_int_equal(
		sh("test \"$(cd src && find . -type f -printf '%%p %%m %%T@\\n' | sort)\" ="
		   " \"$(cd dst/src && find . -type f -printf '%%p %%m %%T@\\n' | sort)\""),
		0);
	assert_int_equal(sh("test $(stat -c %%a dst/src/a/b) = 555"), 0);
	/* Again, over what is there; other files in it stay. */
	assert_int_equal(sh("chmod 755 dst/src/a/b; echo more > dst/src/other"), 0);
	assert_true(copy("src/", "dst"));
	assert_int_equal(sh("test -e dst/src/other && rm dst/src/other &&"
			    "diff -r --no-dereference src dst/src"),
		0);
}

static void names_of_the_target(void **state)
{
	(void)state;
	assert_int_equal(sh("echo one > f; mkdir d; echo old > d/g"), 0);
	assert_true(copy("f", "new"));
	assert_true(copy("f", "d"));
	assert_true(copy("f", "d/g"));
	assert_int_equal(sh("cmp f new && cmp f d/f && cmp f d/g"), 0);
	assert_true(copy("d", "e"));
	assert_int_equal(sh("diff -r d e"), 0);
	assert_true(copy("./d/.", "e"));
	assert_int_equal(sh("test ! -e e/d && diff -r d e"), 0);
	assert_false(copy("f", "nodir/"));
	assert_false(copy("f", "nodir/x"));
	assert_false(copy("nofile", "x"));
	assert_false(copy("d", "f/x"));
	/* A folder does not take a file's place. */
	assert_false(copy("d", "f"));
}

static void what_cannot_be_copied(void **state)
{
	(void)state;
	assert_int_equal(sh("mkdir s d; mkfifo s/pipe; echo x > s/f"), 0);
	assert_false(copy("s", "d"));
	assert_int_equal(sh("cmp s/f d/s/f && test ! -e d/s/pipe"), 0);
}

/* ---- Hostile streams ------------------------------------------------------------------ */

struct entry {
	uint32_t magic, kind, mode, name_len;
	uint64_t size;
	int64_t seconds;
	uint32_t nanoseconds, reserved;
};

enum { FILE_KIND = 1, FOLDER, FOLDER_END, LINK, END };

static void put(FILE *f, uint32_t kind, const char *name, const char *content)
{
	struct entry e = {.magic = 0x65657274,
		.kind = kind,
		.mode = 04777,
		.name_len = (uint32_t)strlen(name),
		.size = strlen(content)};

	fwrite(&e, sizeof(e), 1, f);
	fputs(name, f);
	fputs(content, f);
}

static FILE *stream(void)
{
	assert_int_equal(sh("mkdir -p in out; echo safe > out/file"), 0);
	return fopen("stream", "w+");
}

static bool receive(FILE *f)
{
	bool ok;

	fflush(f);
	rewind(f);
	lseek(fileno(f), 0, SEEK_SET);
	ok = tree_receive(fileno(f), "in", remember);
	fclose(f);
	return ok;
}

static void untouched(void)
{
	assert_int_equal(sh("test \"$(cat out/file)\" = safe && test $(ls out | wc -l) = 1 &&"
			    "test \"$(ls | tr '\\n' ' ')\" = 'in out stream '"),
		0);
}

static void names_that_lead_out(void **state)
{
	static const char *const names[] = {"../out/file", "/etc/x", "a/../../out/file", "..",
		"a//b", "", "a/", "/", "./../x", "a/.", "./."};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		FILE *f = stream();

		put(f, FOLDER, "a", "");
		put(f, FILE_KIND, names[i], "evil");
		put(f, END, "", "");
		assert_false(receive(f));
		untouched();
	}
}

static void links_that_lead_out(void **state)
{
	FILE *f = stream();

	(void)state;
	put(f, FOLDER, "a", "");
	put(f, LINK, "a/l", "../../out");
	put(f, FILE_KIND, "a/l/file", "evil");
	put(f, FOLDER_END, "a/l", "");
	put(f, LINK, "a/m", "../../out/file");
	put(f, FILE_KIND, "a/m", "fine");
	put(f, END, "", "");
	assert_false(receive(f)); /* a/l/file */
	untouched();
	assert_int_equal(sh("test ! -L in/a/m && test \"$(cat in/a/m)\" = fine"), 0);
	/* Neither do setuid bits come along. */
	assert_int_equal(sh("test $(stat -c %%a in/a/m) = 777"), 0);
}

static void streams_that_end(void **state)
{
	FILE *f = stream();
	struct entry e = {.magic = 0x65657274, .kind = FILE_KIND, .name_len = 1, .size = 1 << 30};

	(void)state;
	fwrite(&e, sizeof(e), 1, f);
	fputs("xshort", f);
	assert_false(receive(f));
	f = stream();
	assert_false(receive(f));
	f = stream();
	fputs("this is not a copy but some other text, long enough for one entry", f);
	assert_false(receive(f));
	f = stream();
	e.name_len = 1 << 20;
	fwrite(&e, sizeof(e), 1, f);
	assert_false(receive(f));
	f = stream();
	put(f, 9, "x", "");
	assert_false(receive(f));
	f = stream();
	e = (struct entry){.magic = 0x65657274, .kind = LINK, .name_len = 1, .size = 1 << 20};
	fwrite(&e, sizeof(e), 1, f);
	fputs("l", f);
	assert_false(receive(f));
	untouched();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_folder_as_it_was),
		TEST(names_of_the_target),
		TEST(what_cannot_be_copied),
		TEST(names_that_lead_out),
		TEST(links_that_lead_out),
		TEST(streams_that_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
