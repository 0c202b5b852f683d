/* SPDX-License-Identifier: MIT */
/*
 * Guest physical memory: one memfd, mapped whole into the monitor.
 *
 * The guest writes this memory while the monitor reads it. Whatever decides
 * something is copied out once with ram_read(), checked, then used; ram_range()
 * is for payload alone, whose bytes the monitor never interprets.
 */
#ifndef BASE_RAM_H
#define BASE_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ram {
	int fd; /* memfd, size sealed */
	unsigned char *base; /* where the monitor maps it */
	uint64_t size; /* bytes, a multiple of 2 MiB */
};

/* Makes size bytes of RAM; nothing is committed until touched. 0, or -errno. */
int ram_create(struct ram *ram, uint64_t size);
void ram_destroy(struct ram *ram);

/*
 * Gives [pa, pa + len) back to the host, wherever it is mapped; it reads as zeros then. Parts of
 * pages are zeroed, what is outside RAM is ignored.
 */
void ram_discard(const struct ram *ram, uint64_t pa, uint64_t len);

/* Bytes of it that the host has committed. */
uint64_t ram_committed(const struct ram *ram);

/* Copies n bytes at guest physical pa. false if any of it is outside RAM. */
bool ram_read(const struct ram *ram, uint64_t pa, void *dst, size_t n);
bool ram_write(const struct ram *ram, uint64_t pa, const void *src, size_t n);

/* Pointer to [pa, pa + n) for payload, or NULL if any of it is outside RAM. */
void *ram_range(const struct ram *ram, uint64_t pa, size_t n);

#endif
