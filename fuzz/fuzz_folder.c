/* SPDX-License-Identifier: MIT */
/*
 * FUSE requests as the server of a folder reads them. Its own files are included: what stands
 * around serve() is a process's life, and confinement, which a fuzzer does not survive; and each
 * input is to be given the same numbers for its files. What the guest asks for is done to a
 * folder of its own, on a file system in memory.
 */
#include "serve/folder.c" // NOLINT
#include "serve/folder_node.c" // NOLINT

#include <stdlib.h>

#include "fuzz/input.h"
#include "fuzz/sandbox.h"

#define RAM_SIZE (4ULL << 20)
#define NODES_MAX 200 /* numbers that one input can have been given */
#define STEPS_MAX 40

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *path;

	(void)argc;
	(void)argv;
	if (ram_create(&ram, RAM_SIZE) < 0)
		abort();
	path = sandbox_open();
	folder = (struct folder){
		.root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC),
		.is_root = geteuid() == 0,
		.uid = geteuid(),
		.gid = getegid(),
	};
	rq.folder = &folder;
	return nodes_init(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static void clean(void)
{
	for (uint64_t i = 0; i < NODES_MAX; i++) {
		node_forget(i, UINT64_MAX);
		handle_close(i);
	}
	unused_count = next_free = 0;
	highest = FUSE_ROOT_ID;
	sandbox_end();
}

/* One request: header and arguments in two pieces, room for the answer in two more. */
static void step(struct input *in)
{
	static struct fs_request m;
	struct fuse_in_header header = {.unique = 1, .uid = folder.uid, .gid = folder.gid};
	uint8_t arguments[256];
	size_t len;

	header.opcode = (uint32_t)input_number(in, 1) % (FUSE_SYNCFS + 2);
	header.nodeid = input_number(in, 1);
	len = input_bytes(in, arguments, input_number(in, 1));
	header.len = (uint32_t)(sizeof(header) + len);
	ram_write(&ram, 4096, &header, sizeof(header));
	ram_write(&ram, 8192, arguments, len);
	m.outs = 2;
	m.ins = (uint16_t)(input_number(in, 1) % 4);
	m.piece[0].offset = 4096;
	m.piece[0].len = sizeof(header);
	m.piece[1].offset = 8192;
	m.piece[1].len = len + (len == 255 ? 70000 : 0);
	for (unsigned i = 2; i < 2U + m.ins; i++) {
		m.piece[i].offset = (1 + i) << 18;
		m.piece[i].len = i == 2 ? 16 + input_number(in, 1) : input_number(in, 2);
	}
	if (!find_pieces(&m, FS_REQUEST_SIZE(m.outs + m.ins)))
		return;
	uint32_t written = serve(m.outs, m.ins);
	size_t room = 0;
	for (unsigned i = 2; i < 2U + m.ins; i++)
		room += m.piece[i].len;
	if (written > room)
		abort();
}

/* A message of the monitor that it would never send. */
static void odd_message(struct input *in)
{
	static struct fs_request m;

	memset(&m, 0, sizeof(m));
	input_bytes(in, &m, 128);
	find_pieces(&m, input_number(in, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	sandbox_begin();
	folder.read_only = input_number(&in, 1) == 1;
	if (input_number(&in, 1) == 1)
		odd_message(&in);
	for (unsigned i = 0; i < STEPS_MAX && in.left > 0; i++)
		step(&in);
	clean();
	return 0;
}
