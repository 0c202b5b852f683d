/* SPDX-License-Identifier: MIT */
/* The server of a folder against requests that no honest kernel sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve/folder.h"

static char top[] = "/tmp/lucid-test-folder-XXXXXX";
static struct folder folder;
static struct request rq;

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(top) || chdir(top) < 0 || mkdir("in", 0755) < 0 || mkdir("in/sub", 0755) < 0)
		return -1;
	close(open("secret", O_CREAT | O_WRONLY, 0600));
	close(open("in/file", O_CREAT | O_WRONLY, 0600));
	if (symlink("../secret", "in/link") < 0 || mkfifo("in/fifo", 0600) < 0)
		return -1;
	folder = (struct folder){
		.root = open("in", O_RDONLY | O_DIRECTORY),
		.proc = open("/proc/self/fd", O_PATH | O_DIRECTORY),
		.is_root = geteuid() == 0,
		.uid = geteuid(),
		.gid = getegid(),
	};
	rq.folder = &folder;
	return nodes_init(open("in", O_PATH | O_DIRECTORY));
}

static int teardown(void **state)
{
	(void)state;
	if (chdir("/") < 0)
		return -1;
	char command[100];

	snprintf(command, sizeof(command), "rm -r %s", top);
	return system(command);
}

/* A request on a node with fixed arguments and up to two strings behind them. */
static ssize_t ask(
	operation *op, uint64_t node, const void *fixed, size_t size, const char *a, const char *b)
{
	rq.in.nodeid = node;
	rq.in.uid = geteuid();
	rq.in.gid = getegid();
	rq.size = size;
	if (size)
		memcpy(rq.arguments, fixed, size);
	for (int i = 0; i < 2; i++) {
		const char *s = i ? b : a;

		if (!s)
			continue;
		memcpy(rq.arguments + rq.size, s, strlen(s) + 1);
		rq.size += strlen(s) + 1;
	}
	rq.arguments[rq.size] = rq.arguments[rq.size + 1] = 0;
	return op(&rq);
}

static uint64_t find(const char *name)
{
	assert_int_equal(
		ask(op_lookup, FUSE_ROOT_ID, NULL, 0, name, NULL), sizeof(struct fuse_entry_out));
	return ((struct fuse_entry_out *)rq.result)->nodeid;
}

static void names_lead_down_only(void **state)
{
	static const char *const bad[] = {
		"..", ".", "", "/", "../secret", "sub/../../secret", "/etc"};
	const struct fuse_mkdir_in mkdir_in = {.mode = 0755};
	const struct fuse_rename_in rename_in = {.newdir = FUSE_ROOT_ID};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(ask(op_lookup, FUSE_ROOT_ID, NULL, 0, bad[i], NULL), -EINVAL);
		assert_int_equal(
			ask(op_mkdir, FUSE_ROOT_ID, &mkdir_in, sizeof(mkdir_in), bad[i], NULL),
			-EINVAL);
		assert_int_equal(ask(op_unlink, FUSE_ROOT_ID, NULL, 0, bad[i], NULL), -EINVAL);
		assert_int_equal(ask(op_symlink, FUSE_ROOT_ID, NULL, 0, bad[i], "x"), -EINVAL);
		assert_int_equal(
			ask(op_rename, FUSE_ROOT_ID, &rename_in, sizeof(rename_in), "file", bad[i]),
			-EINVAL);
		assert_int_equal(
			ask(op_rename, FUSE_ROOT_ID, &rename_in, sizeof(rename_in), bad[i], "x"),
			-EINVAL);
	}
	assert_int_equal(access("secret", F_OK), 0);
	assert_int_equal(access("in/file", F_OK), 0);
}

static void links_are_not_followed(void **state)
{
	const struct fuse_open_in open_in = {.flags = O_RDWR};
	const struct fuse_create_in create_in = {.flags = O_RDWR, .mode = 0600};
	uint64_t link = find("link");

	(void)state;
	assert_int_equal(ask(op_readlink, link, NULL, 0, NULL, NULL), 9);
	assert_memory_equal(rq.result, "../secret", 9);
	/* Neither as a file, nor as a folder, nor by making a file of that name. */
	assert_int_equal(ask(op_open, link, &open_in, sizeof(open_in), NULL, NULL), -EPERM);
	assert_int_equal(ask(op_lookup, link, NULL, 0, "x", NULL), -ENOTDIR);
	assert_true(ask(op_create, FUSE_ROOT_ID, &create_in, sizeof(create_in), "link", NULL) < 0);
}

static void only_files_and_folders_are_opened(void **state)
{
	const struct fuse_open_in open_in = {.flags = O_RDONLY};
	const struct fuse_mknod_in mknod_in = {.mode = S_IFCHR | 0666, .rdev = 0x103};

	(void)state;
	assert_int_equal(ask(op_open, find("fifo"), &open_in, sizeof(open_in), NULL, NULL), -EPERM);
	assert_int_equal(
		ask(op_mknod, FUSE_ROOT_ID, &mknod_in, sizeof(mknod_in), "dev", NULL), -EPERM);
	assert_int_equal(access("in/dev", F_OK), -1);
}

static void set_user_id_is_dropped(void **state)
{
	const struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = 06755};
	const struct fuse_create_in create_in = {.flags = O_RDWR, .mode = 06755};
	struct stat st;

	(void)state;
	assert_true(ask(op_setattr, find("file"), &in, sizeof(in), NULL, NULL) > 0);
	assert_int_equal(stat("in/file", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_true(ask(op_create, FUSE_ROOT_ID, &create_in, sizeof(create_in), "new", NULL) > 0);
	assert_int_equal(stat("in/new", &st), 0);
	assert_int_equal(st.st_mode & 06000, 0);
}

static void numbers_that_nobody_gave_out(void **state)
{
	static const uint64_t bad[] = {0, 99, 12345678, UINT64_MAX};
	struct fuse_read_in read_in = {.size = 100};
	struct fuse_write_in write_in = {.size = 0};
	struct fuse_link_in link_in;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(ask(op_getattr, bad[i], NULL, 0, NULL, NULL), -ESTALE);
		assert_int_equal(ask(op_lookup, bad[i], NULL, 0, "file", NULL), -ESTALE);
		read_in.fh = write_in.fh = bad[i] + 100;
		assert_int_equal(ask(op_read, 1, &read_in, sizeof(read_in), NULL, NULL), -EBADF);
		assert_int_equal(ask(op_write, 1, &write_in, sizeof(write_in), NULL, NULL), -EBADF);
		link_in.oldnodeid = bad[i];
		assert_int_equal(ask(op_link, 1, &link_in, sizeof(link_in), "x", NULL), -ESTALE);
		node_forget(bad[i], UINT64_MAX);
		handle_close(bad[i]);
	}
	node_forget(FUSE_ROOT_ID, UINT64_MAX);
	assert_non_null(node_find(FUSE_ROOT_ID));
}

static void short_arguments(void **state)
{
	static operation *const ops[] = {op_setattr, op_link, op_rename, op_rename2, op_open,
		op_read, op_write, op_release, op_fsync, op_lseek, op_fallocate, op_copy,
		op_readdir, op_readdirplus, op_unlink, op_symlink, op_mknod, op_mkdir, op_create};

	(void)state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		for (size_t size = 0; size < 8; size++)
			assert_true(ask(ops[i], FUSE_ROOT_ID, "xxxxxxxx", size, NULL, NULL) < 0);
	/* A count that the arguments do not bear out. */
	const struct fuse_batch_forget_in in = {.count = UINT32_MAX};
	assert_int_equal(ask(op_batch_forget, 1, &in, sizeof(in), NULL, NULL), NO_ANSWER);
}

/* What is not there has the number 0, which may be believed for a while; bad names are errors. */
static void names_that_are_not_there(void **state)
{
	const struct fuse_entry_out *entry = (void *)rq.result;

	(void)state;
	assert_int_equal(
		ask(op_lookup, FUSE_ROOT_ID, NULL, 0, "none", NULL), (ssize_t)sizeof(*entry));
	assert_int_equal(entry->nodeid, 0);
	assert_int_equal(entry->entry_valid, 1);
	assert_int_equal(ask(op_lookup, find("file"), NULL, 0, "none", NULL), -ENOTDIR);
	assert_int_equal(ask(op_lookup, FUSE_ROOT_ID, NULL, 0, "", NULL), -EINVAL);
}

static void files_are_made_open(void **state)
{
	struct fuse_create_in in = {.flags = O_WRONLY | O_CREAT | O_EXCL, .mode = 0400};
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} *out = (void *)rq.result;
	struct stat st;

	(void)state;
	/* One that not even its maker could open a second time. */
	assert_int_equal(
		ask(op_create, FUSE_ROOT_ID, &in, sizeof(in), "made", NULL), (ssize_t)sizeof(*out));
	int fd = handle_fd(out->open.fh);

	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(out->entry.attr.ino, st.st_ino);
	assert_int_equal(find("made"), out->entry.nodeid);
	handle_close(out->open.fh);
	assert_int_equal(ask(op_create, FUSE_ROOT_ID, &in, sizeof(in), "made", NULL), -EEXIST);
	assert_int_equal(ask(op_create, FUSE_ROOT_ID, &in, sizeof(in), "link", NULL), -EEXIST);
	/* Somebody else was faster: the file is theirs, and a link leads nowhere. */
	in.flags = O_RDWR | O_CREAT;
	assert_int_equal(
		ask(op_create, FUSE_ROOT_ID, &in, sizeof(in), "file", NULL), (ssize_t)sizeof(*out));
	handle_close(out->open.fh);
	assert_int_equal(ask(op_create, FUSE_ROOT_ID, &in, sizeof(in), "link", NULL), -EPERM);
	assert_int_equal(access("in/made", F_OK), 0);
	unlink("in/made");
}

static void nodes_are_counted(void **state)
{
	uint64_t a = find("sub"), b = find("sub");

	(void)state;
	assert_int_equal(a, b);
	node_forget(a, 1);
	assert_non_null(node_find(a));
	node_forget(a, 1);
	assert_null(node_find(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_lead_down_only),
		cmocka_unit_test(links_are_not_followed),
		cmocka_unit_test(only_files_and_folders_are_opened),
		cmocka_unit_test(set_user_id_is_dropped),
		cmocka_unit_test(numbers_that_nobody_gave_out),
		cmocka_unit_test(short_arguments),
		cmocka_unit_test(names_that_are_not_there),
		cmocka_unit_test(files_are_made_open),
		cmocka_unit_test(nodes_are_counted),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
