/* SPDX-License-Identifier: MIT */
/* The ELF loader: what is loaded where, and files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "abi/lucid.h"
#include "monitor/load.h"

#define RAM_SIZE (64ull << 20)
#define KERNEL_PA 0x1000000ull
#define FILE_SIZE 0x4000

/* A small kernel file, to be spoilt by each test. */
struct file {
	Elf64_Ehdr header;
	Elf64_Phdr phdr[3];
	struct {
		Elf64_Nhdr header;
		char owner[8];
		uint32_t version[2], entry[2];
	} note;
	char text[0x1000], data[0x1000];
};

struct rig {
	struct ram ram;
	struct file file;
	size_t size;
	char path[32];
};

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct file *f = &r->file;
	int fd;

	assert_int_equal(ram_create(&r->ram, RAM_SIZE), 0);
	memcpy(f->header.e_ident, ELFMAG, SELFMAG);
	f->header.e_ident[EI_CLASS] = ELFCLASS64;
	f->header.e_machine = EM_X86_64;
	f->header.e_type = ET_EXEC;
	f->header.e_phoff = offsetof(struct file, phdr);
	f->header.e_phentsize = sizeof(Elf64_Phdr);
	f->header.e_phnum = 3;
	f->phdr[0] = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_offset = offsetof(struct file, text),
		.p_paddr = KERNEL_PA,
		.p_filesz = 0x1000,
		.p_memsz = 0x1000};
	f->phdr[1] = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_flags = PF_R | PF_W,
		.p_offset = offsetof(struct file, data),
		.p_paddr = KERNEL_PA + 0x1000,
		.p_filesz = 0x1000,
		.p_memsz = 0x2800};
	f->phdr[2] = (Elf64_Phdr){.p_type = PT_NOTE,
		.p_offset = offsetof(struct file, note),
		.p_filesz = sizeof(f->note)};
	f->note.header = (Elf64_Nhdr){6, 16, LUCID_NOTE_TYPE};
	memcpy(f->note.owner, LUCID_NOTE_OWNER, 6);
	f->note.version[0] = LUCID_ABI_VERSION;
	f->note.entry[0] = LUCID_IMAGE_BASE + KERNEL_PA;
	strcpy(f->text, "text");
	strcpy(f->data, "data");
	r->size = sizeof(*f);
	strcpy(r->path, "/tmp/lucid-load-XXXXXX");
	fd = mkstemp(r->path);
	assert_true(fd >= 0);
	close(fd);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	unlink(r->path);
	ram_destroy(&r->ram);
	free(r);
	return 0;
}

static int load(struct rig *r, struct load_image *image, const char **why)
{
	int fd = open(r->path, O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, &r->file, r->size), r->size);
	close(fd);
	return load_kernel(&r->ram, r->path, image, why);
}

static void refused(struct rig *r, const char *word)
{
	struct load_image image;
	const char *why = NULL;

	assert_int_equal(load(r, &image, &why), -1);
	assert_non_null(why);
	if (!strstr(why, word))
		fail_msg("says \"%s\", not \"%s\"", why, word);
	assert_null(strchr(why, '\n'));
}

static void test_loads(void **state)
{
	struct rig *r = *state;
	struct load_image image;
	const char *why;

	assert_int_equal(load(r, &image, &why), 0);
	assert_int_equal(image.entry, LUCID_IMAGE_BASE + KERNEL_PA);
	assert_int_equal(image.end, KERNEL_PA + 0x4000);
	assert_int_equal(image.segments, 2);
	assert_int_equal(image.segment[0].va, LUCID_IMAGE_BASE + KERNEL_PA);
	assert_int_equal(image.segment[1].size, 0x3000);
	assert_true(image.segment[0].prot & PROT_EXEC);
	assert_false(image.segment[1].prot & PROT_EXEC);
	assert_string_equal((char *)ram_range(&r->ram, KERNEL_PA, 5), "text");
	assert_string_equal((char *)ram_range(&r->ram, KERNEL_PA + 0x1000, 5), "data");
}

static void test_not_elf(void **state)
{
	struct rig *r = *state;

	r->file.header.e_ident[0] = 'x';
	refused(r, "not an ELF");
	r->size = 0;
	refused(r, "not an ELF");
	assert_int_equal(unlink(r->path), 0);
	r->size = 10;
	assert_int_equal(
		load_kernel(&r->ram, r->path, &(struct load_image){0}, &(const char *){0}), -1);
	close(open(r->path, O_CREAT | O_WRONLY, 0600));
}

static void test_wrong_kind(void **state)
{
	struct rig *r = *state;

	r->file.header.e_type = ET_DYN;
	refused(r, "x86-64 kernel");
	r->file.header.e_type = ET_EXEC;
	r->file.header.e_machine = EM_AARCH64;
	refused(r, "x86-64 kernel");
	r->file.header.e_machine = EM_X86_64;
	r->file.header.e_ident[EI_CLASS] = ELFCLASS32;
	refused(r, "x86-64 kernel");
}

static void test_cut_short(void **state)
{
	struct rig *r = *state;
	size_t whole = r->size, size;

	for (size = sizeof(Elf64_Ehdr); size < whole; size += 0x333) {
		r->size = size;
		refused(r, "truncated");
	}
}

static void test_note(void **state)
{
	struct rig *r = *state;

	r->file.note.version[0]++;
	refused(r, "another version");
	r->file.note.version[0]--;
	r->file.note.header.n_type++;
	refused(r, "not built for Lucid");
	r->file.note.header.n_type--;
	r->file.note.header.n_namesz = 0xfffffffd; /* would wrap */
	refused(r, "not built for Lucid");
	r->file.note.header.n_namesz = 6;
	r->file.note.header.n_descsz = 0xffffffff;
	refused(r, "not built for Lucid");
	r->file.phdr[2].p_filesz = 1ull << 40;
	refused(r, "truncated");
}

static void test_segments_that_do_not_fit(void **state)
{
	struct rig *r = *state;
	Elf64_Phdr *p = &r->file.phdr[1], good = *p;

	p->p_paddr = RAM_SIZE - 0x1000;
	refused(r, "memory");
	*p = good;
	p->p_paddr = ~0ull - 0x800;
	refused(r, "memory");
	*p = good;
	p->p_memsz = ~0ull;
	refused(r, "memory");
	*p = good;
	p->p_filesz = p->p_memsz + 1;
	refused(r, "memory");
	*p = good;
	p->p_offset = ~0ull - 0x10;
	refused(r, "truncated");
	*p = good;
	p->p_paddr = KERNEL_PA + 0x800;
	refused(r, "overlap");
}

static void test_wild_headers(void **state)
{
	struct rig *r = *state;

	r->file.header.e_phnum = 0xffff;
	refused(r, "truncated");
	r->file.header.e_phnum = 0;
	refused(r, "truncated");
	r->file.header.e_phnum = 3;
	r->file.header.e_phoff = ~0ull - 8;
	refused(r, "truncated");
	r->file.header.e_phoff = offsetof(struct file, phdr);
	r->file.header.e_phentsize = 1;
	refused(r, "truncated");
}

static void test_initrd(void **state)
{
	struct rig *r = *state;
	const char *paths[] = {r->path, r->path, "/nonexistent/x"};
	const char *why;
	unsigned which;
	int fd = open(r->path, O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, "12345", 5), 5);
	close(fd);
	assert_int_equal(load_initrd(&r->ram, 0x100000, paths, 2, &why, &which), 16);
	assert_memory_equal(ram_range(&r->ram, 0x100000, 16), "12345\0\0\00012345\0\0\0", 16);
	assert_int_equal(load_initrd(&r->ram, 0x100000, paths, 3, &why, &which), -1);
	assert_int_equal(which, 2);
	assert_int_equal(load_initrd(&r->ram, RAM_SIZE - 4, paths, 1, &why, &which), -1);
	assert_non_null(strstr(why, "memory"));
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(test_loads),
		with_rig(test_not_elf),
		with_rig(test_wrong_kind),
		with_rig(test_cut_short),
		with_rig(test_note),
		with_rig(test_segments_that_do_not_fit),
		with_rig(test_wild_headers),
		with_rig(test_initrd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
