/* SPDX-License-Identifier: MIT */
/* Guest physical memory: a sealed memfd, and the one accessor that checks addresses. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ram.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define ALIGN (2ULL << 20)

/*
 * MFD_NOEXEC_SEAL (Linux 6.3) forbids execve() of the file, not PROT_EXEC
 * mappings of it; hosts with vm.memfd_noexec=2 insist on it.
 */
static int make_memfd(void)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;

	int fd = memfd_create("lucid-ram", flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("lucid-ram", flags);
	return fd;
}

/*
 * Maps fd at a multiple of 2 MiB with that much inaccessible space on either
 * side, so that a wrong length of ours faults instead of reaching other memory.
 */
static unsigned char *map_guarded(int fd, uint64_t size)
{
	size_t whole = size + 3 * ALIGN;
	unsigned char *area =
		mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (area == MAP_FAILED)
		return NULL;
	size_t lead = (ALIGN - (uintptr_t)area % ALIGN) % ALIGN;
	unsigned char *base = area + lead + ALIGN;

	if (mmap(base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd,
		    0) == MAP_FAILED) {
		int saved = errno;
		munmap(area, whole);
		errno = saved;
		return NULL;
	}
	/* Give back what only the alignment needed. */
	if (lead > 0)
		munmap(area, lead);
	if (lead < ALIGN)
		munmap(base + size + ALIGN, ALIGN - lead);
	return base;
}

int ram_create(struct ram *ram, uint64_t size)
{
	*ram = (struct ram){.fd = -1};
	if (size == 0 || size % ALIGN != 0 || size > INT64_MAX - 3 * ALIGN)
		return -EINVAL;

	int fd = make_memfd();
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		goto fail;
	/* A space must not be able to shrink RAM under the monitor (SIGBUS) or to seal it. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		goto fail;
	unsigned char *base = map_guarded(fd, size);
	if (!base)
		goto fail;
	*ram = (struct ram){.fd = fd, .base = base, .size = size};
	return 0;

fail:;
	int error = errno;
	close(fd);
	return -error;
}

void ram_destroy(struct ram *ram)
{
	if (ram->base)
		munmap(ram->base - ALIGN, ram->size + 2 * ALIGN);
	if (ram->fd >= 0)
		close(ram->fd);
	*ram = (struct ram){.fd = -1};
}

void ram_discard(const struct ram *ram, uint64_t pa, uint64_t len)
{
	if (pa >= ram->size || len == 0)
		return;
	if (len > ram->size - pa)
		len = ram->size - pa;
	/* It was the guest's offer: if the host cannot take it, nothing is lost. */
	(void)!fallocate(
		ram->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)pa, (off_t)len);
}

uint64_t ram_committed(const struct ram *ram)
{
	struct stat st;

	return fstat(ram->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

void *ram_range(const struct ram *ram, uint64_t pa, size_t n)
{
	if (n > ram->size || pa > ram->size - n)
		return NULL;
	return ram->base + pa;
}

bool ram_read(const struct ram *ram, uint64_t pa, void *dst, size_t n)
{
	const void *src = ram_range(ram, pa, n);

	if (!src)
		return false;
	memcpy(dst, src, n);
	/* The copy is made here and once: the compiler may not go back to the source for it. */
	__asm__ volatile("" ::: "memory");
	return true;
}

bool ram_write(const struct ram *ram, uint64_t pa, const void *src, size_t n)
{
	void *dst = ram_range(ram, pa, n);

	if (!dst)
		return false;
	memcpy(dst, src, n);
	__asm__ volatile("" ::: "memory");
	return true;
}
