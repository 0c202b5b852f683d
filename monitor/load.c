/* SPDX-License-Identifier: MIT */
/* ELF loading: everything in the file is checked before it is used. */
#define _GNU_SOURCE
#include "monitor/load.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/lucid.h"

#define PAGE 4096ull
#define PHDRS_MAX 32
#define NOTES_MAX 4096
/* From here on a read is worth a thread's birth. */
#define TWO_READERS_MIN (1ull << 20)

struct elf {
	int fd;
	uint64_t size;
	Elf64_Ehdr header;
	Elf64_Phdr phdr[PHDRS_MAX];
};

static bool read_at(const struct elf *elf, uint64_t offset, void *to, uint64_t size)
{
	unsigned char *at = to;

	if (offset > elf->size || size > elf->size - offset)
		return false;
	while (size) {
		ssize_t got = pread(elf->fd, at, size, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		offset += (uint64_t)got;
		size -= (uint64_t)got;
	}
	return true;
}

struct piece {
	const struct elf *elf;
	uint64_t offset, size;
	unsigned char *to;
	bool ok;
};

static void *read_piece(void *piece)
{
	struct piece *p = piece;

	p->ok = read_at(p->elf, p->offset, p->to, p->size);
	return NULL;
}

/*
 * What is read here goes into memory that the host has to find and clear first, and all wait
 * for it: a thread that is gone before anything else begins reads the second half.
 */
static bool read_by_two(const struct elf *elf, uint64_t offset, void *to, uint64_t size)
{
	uint64_t half = size / 2 & ~(PAGE - 1);
	struct piece second = {elf, offset + half, size - half, (unsigned char *)to + half, false};
	pthread_t reader;
	bool ok;

	if (offset > elf->size || size > elf->size - offset)
		return false;
	if (size < TWO_READERS_MIN || pthread_create(&reader, NULL, read_piece, &second) != 0)
		return read_at(elf, offset, to, size);
	ok = read_at(elf, offset, to, half);
	pthread_join(reader, NULL);
	return ok && second.ok;
}

static const char *read_headers(struct elf *elf)
{
	const Elf64_Ehdr *h = &elf->header;

	if (!read_at(elf, 0, &elf->header, sizeof(elf->header)) ||
		memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
		return "is not an ELF image; give a vmlinux built with the Lucid port";
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_machine != EM_X86_64 || h->e_type != ET_EXEC)
		return "is not an x86-64 kernel; give a vmlinux built with the Lucid port";
	if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 || h->e_phnum > PHDRS_MAX ||
		!read_at(elf, h->e_phoff, elf->phdr, h->e_phnum * sizeof(Elf64_Phdr)))
		return "is truncated or damaged; build it again";
	return NULL;
}

/* Looks for the Lucid note in one note segment. true: found, entry is set. */
static bool find_note(const unsigned char *notes, uint64_t size, uint64_t *version, uint64_t *entry)
{
	uint64_t at = 0;

	while (size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;
		uint64_t name, desc, next;

		memcpy(&n, notes + at, sizeof(n));
		name = at + sizeof(n);
		desc = name + ((n.n_namesz + 3ull) & ~3ull);
		next = desc + ((n.n_descsz + 3ull) & ~3ull);
		if (next > size)
			return false;
		if (n.n_type == LUCID_NOTE_TYPE && n.n_namesz == sizeof(LUCID_NOTE_OWNER) &&
			memcmp(notes + name, LUCID_NOTE_OWNER, n.n_namesz) == 0 &&
			n.n_descsz == 16) {
			memcpy(version, notes + desc, 8);
			memcpy(entry, notes + desc + 8, 8);
			return true;
		}
		at = next;
	}
	return false;
}

static const char *read_note(const struct elf *elf, uint64_t *entry)
{
	unsigned char notes[NOTES_MAX];
	uint64_t version = 0;
	unsigned i;

	for (i = 0; i < elf->header.e_phnum; i++) {
		const Elf64_Phdr *p = &elf->phdr[i];

		if (p->p_type != PT_NOTE)
			continue;
		if (p->p_filesz > sizeof(notes) || !read_at(elf, p->p_offset, notes, p->p_filesz))
			return "is truncated or damaged; build it again";
		if (!find_note(notes, p->p_filesz, &version, entry))
			continue;
		if (version != LUCID_ABI_VERSION)
			return "is built for another version of the ABI; build it again";
		if (*entry < LUCID_IMAGE_BASE || *entry >= LUCID_IMAGE_END)
			return "starts outside the image window; build it again";
		return NULL;
	}
	return "is not built for Lucid; give a vmlinux built with the Lucid port";
}

/* Where a segment goes in the image window; VA = PA + LUCID_IMAGE_BASE. */
static const char *place(const struct ram *ram, const Elf64_Phdr *p, struct load_image *image)
{
	uint64_t start = p->p_paddr & ~(PAGE - 1);
	uint64_t end;
	struct space_segment *s;

	if (p->p_memsz < p->p_filesz || p->p_paddr > ram->size ||
		p->p_memsz > ram->size - p->p_paddr)
		return "does not fit into the guest's memory; give more --memory";
	end = (p->p_paddr + p->p_memsz + PAGE - 1) & ~(PAGE - 1);
	if (end > LUCID_IMAGE_END - LUCID_IMAGE_BASE)
		return "does not fit into the image window; build a smaller one";
	if (image->segments == SPACE_SEGMENTS)
		return "has too many segments; build it again";
	/* The text's segment starts out writable: the kernel patches itself, then seals it. */
	s = &image->segment[image->segments++];
	*s = (struct space_segment){
		.va = LUCID_IMAGE_BASE + start,
		.pa = start,
		.size = end - start,
		.prot = PROT_READ | PROT_WRITE | ((p->p_flags & PF_X) ? PROT_EXEC : 0),
	};
	if (end > image->end)
		image->end = end;
	return NULL;
}

/* Segments that share a page cannot both be mapped there. */
static const char *settle(struct load_image *image)
{
	unsigned i, j;

	for (i = 0; i < image->segments; i++) {
		for (j = 0; j < i; j++) {
			const struct space_segment *a = &image->segment[i], *b = &image->segment[j];

			if (a->va < b->va + b->size && b->va < a->va + a->size)
				return "has segments that overlap; build it again";
		}
	}
	return NULL;
}

static const char *load_segments(
	const struct elf *elf, const struct ram *ram, struct load_image *image)
{
	unsigned i;

	for (i = 0; i < elf->header.e_phnum; i++) {
		const Elf64_Phdr *p = &elf->phdr[i];
		const char *why;
		void *to;

		if (p->p_type != PT_LOAD || !p->p_memsz)
			continue;
		why = place(ram, p, image);
		if (why)
			return why;
		to = ram_range(ram, p->p_paddr, p->p_filesz);
		if (!to || !read_by_two(elf, p->p_offset, to, p->p_filesz))
			return "is truncated or damaged; build it again";
	}
	if (!image->segments)
		return "is truncated or damaged; build it again";
	return settle(image);
}

static const char *load(struct elf *elf, const struct ram *ram, struct load_image *image)
{
	const char *why = read_headers(elf);

	if (!why)
		why = read_note(elf, &image->entry);
	if (!why)
		why = load_segments(elf, ram, image);
	return why;
}

/* Opens a plain file and tells its size. -1 with *why set. */
static int open_file(const char *path, uint64_t *size, const char **why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0) {
		*why = errno == ENOENT ? "there is no such file; name one that exists"
				       : "cannot be opened; see that it can be read";
		return -1;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		*why = "is not a plain file; name one";
		close(fd);
		return -1;
	}
	*size = (uint64_t)st.st_size;
	return fd;
}

int load_kernel(const struct ram *ram, const char *path, struct load_image *image, const char **why)
{
	struct elf elf = {0};

	*image = (struct load_image){0};
	elf.fd = open_file(path, &elf.size, why);
	if (elf.fd < 0)
		return -1;
	*why = load(&elf, ram, image);
	close(elf.fd);
	return *why ? -1 : 0;
}

int64_t load_initrd(const struct ram *ram, uint64_t at, const char *const *path, unsigned count,
	const char **why, unsigned *which)
{
	uint64_t start = at;
	unsigned i;

	for (i = 0; i < count; i++) {
		struct elf file = {0}; /* for its checked reads alone */
		void *to;
		bool ok;

		*which = i;
		file.fd = open_file(path[i], &file.size, why);
		if (file.fd < 0)
			return -1;
		to = ram_range(ram, at, file.size);
		ok = to && read_by_two(&file, 0, to, file.size);
		close(file.fd);
		if (!ok) {
			*why = to ? "cannot be read; see that it is whole"
				  : "does not fit into the guest's memory; give more --memory";
			return -1;
		}
		at += (file.size + 3) & ~3ull;
	}
	return (int64_t)(at - start);
}
