/* SPDX-License-Identifier: MIT */
/*
 * What a twin is to do before it goes on: the host system calls that follow what its space's
 * kernel does to the TLB. They wait in struct stub_twin until then.
 */
#include <sys/mman.h>

#include "stub/sys.h"
#include "stub/twin.h"

#define HALF (STUB_TWIN_END / 2)
#define NO_PLACE (~0u)

static struct stub_twin_call *add(unsigned long nr)
{
	struct stub_twin_call *call = &orders->call[orders->count++];

	*call = (struct stub_twin_call){.nr = nr};
	return call;
}

static void add_range(unsigned long nr, uint64_t start, uint64_t size, unsigned prot)
{
	struct stub_twin_call *call = add(nr);

	call->arg[0] = start;
	call->arg[1] = size;
	call->arg[2] = prot;
}

/* What was to be done before is of no account then, but for where it is to run. */
void twin_unmap_all(void)
{
	if (!priv->twin_maps)
		return;
	while (orders->count)
		if (orders->call[--orders->count].nr == __NR_sched_setaffinity)
			priv->twin_place = NO_PLACE;
	add_range(__NR_munmap, LUCID_USER_BASE, HALF - LUCID_USER_BASE, 0);
	add_range(__NR_munmap, HALF, HALF, 0);
	priv->twin_maps = 0;
}

/* Room for one more call. */
static void make_room(void)
{
	if (orders->count < STUB_TWIN_CALLS)
		return;
	priv->twin_maps = 1;
	twin_unmap_all();
}

void twin_unmap(uint64_t start, uint64_t end)
{
	if (!priv->twin_maps || start >= end)
		return;
	if (end - start > HALF) {
		twin_unmap_all();
		return;
	}
	make_room();
	add_range(__NR_munmap, start, end - start, 0);
}

void twin_protect(uint64_t start, uint64_t size)
{
	if (!priv->twin_maps)
		return;
	make_room();
	add_range(__NR_mprotect, start, size, PROT_READ);
}

void twin_map(const struct run *run, unsigned prot)
{
	struct stub_twin_call *call;

	make_room();
	call = add(__NR_mmap);
	call->arg[0] = run->va;
	call->arg[1] = run->size;
	call->arg[2] = prot;
	call->arg[3] = MAP_SHARED | MAP_FIXED | (run->populate ? MAP_POPULATE : 0);
	call->arg[4] = STUB_FD_RAM;
	call->arg[5] = run->pa;
	priv->twin_maps += 2;
}

void twin_follow_place(void)
{
	struct stub_twin_call *call;
	unsigned i;

	if (priv->twin_place == priv->place)
		return;
	make_room();
	priv->twin_place = priv->place;
	for (i = 0; i < STUB_CPU_WORDS; i++)
		orders->cpus[i] = priv->place ? 0 : shared->allowed[i];
	if (priv->place)
		orders->cpus[(priv->place - 1) / 64] = 1UL << ((priv->place - 1) % 64);
	call = add(__NR_sched_setaffinity);
	call->arg[1] = sizeof(orders->cpus);
	call->arg[2] = (unsigned long)orders->cpus;
}

/* ---- Reading for it --------------------------------------------------------------- */

bool twin_read(uint64_t addr, void *to, unsigned size)
{
	struct walk_ram ram = {(unsigned char *)LUCID_DIRECT_BASE, info->ram_size};
	unsigned char *out = to;
	struct walk w;

	for (; size; size--, addr++) {
		uint64_t entry, page, mask;

		if (addr >= LUCID_USER_END || !walk_find(&ram, vcpu->cr3, addr, &w))
			return false;
		entry = __atomic_load_n(&w.table[w.index], __ATOMIC_RELAXED);
		mask = (1ull << w.shift) - 1;
		if (!(entry & PTE_P) || !(walk_rights(entry, w.limits) & PTE_U))
			return false;
		page = (entry & PTE_ADDR & ~mask) | (addr & mask);
		if (page >= ram.size)
			return false;
		*out++ = ram.base[page];
	}
	return true;
}
