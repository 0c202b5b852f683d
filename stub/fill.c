/* SPDX-License-Identifier: MIT */
/*
 * TLB fill: what hardware does on a miss, with the host's mmap as the TLB. A fill
 * takes the whole contiguous run around the address, since a host mapping costs
 * the same for one page as for many.
 */
#include <sys/mman.h>

#include "stub/stub.h"
#include "stub/sys.h"
#include "stub/twin.h"
#include "stub/walk.h"

/*
 * The host limits a process to 65,530 mappings by default. A fill may split one
 * mapping in two beside adding its own.
 */
#define MAPS_LIMIT 60000

#define RUN_MAX 256

/*
 * What a premap takes: as much as a guest's fault sets at a time, which is a folio, or what was
 * read around a page of a file. Beyond it are pages that have been mapped before; to map them
 * again would cost the host's faults on each of them.
 */
#define PREMAP_WRITTEN (16 * PAGE_SIZE)
#define PREMAP_READ (64 * PAGE_SIZE)

static const struct walk_ram *guest_ram(struct walk_ram *ram)
{
	ram->base = (unsigned char *)LUCID_DIRECT_BASE;
	ram->size = info->ram_size;
	return ram;
}

bool tlb_entry_present(uint64_t addr)
{
	struct walk_ram ram;
	struct walk w;

	return walk_find(guest_ram(&ram), vcpu->cr3, addr, &w) && (w.table[w.index] & PTE_P);
}

static bool fillable(uint64_t addr)
{
	if (addr >= LUCID_USER_BASE && addr < LUCID_USER_END)
		return addr < LUCID_IMAGE_BASE || addr >= LUCID_WINDOW_END;
	return addr >= LUCID_KERNEL_BASE && addr < LUCID_KERNEL_END;
}

static bool cut_front(struct run *run, uint64_t start)
{
	uint64_t cut = run->va < start ? start - run->va : 0;

	if (cut >= run->size)
		return false;
	run->va += cut;
	run->pa += cut;
	run->size -= cut;
	return true;
}

/* Cuts a run to what can be mapped, and to the window; false: addr itself cannot. */
static bool clip(struct run *run, uint64_t addr, uint64_t window, uint64_t ram_size)
{
	uint64_t start = addr & ~(window - 1);

	if (!cut_front(run, start > LUCID_USER_BASE ? start : LUCID_USER_BASE))
		return false;
	if (run->va + run->size > start + window)
		run->size = start + window - run->va;
	if (run->pa >= ram_size)
		return false;
	if (run->size > ram_size - run->pa)
		run->size = ram_size - run->pa;
	return addr - run->va < run->size;
}

static long map_once(const struct run *run, unsigned prot)
{
	unsigned flags = MAP_SHARED | MAP_FIXED;
	long ret;

	if (run->populate)
		flags |= MAP_POPULATE;
	ret = sys6(
		__NR_mmap, (long)run->va, (long)run->size, prot, flags, STUB_FD_RAM, (long)run->pa);
	if (ret < 0)
		return ret;
	if (!run->user && priv->key_kernel)
		return sys4(
			__NR_pkey_mprotect, (long)run->va, (long)run->size, prot, priv->key_kernel);
	return 0;
}

/* Remembers what hypercall_wrprotect() will have to change. */
static void note_writable(struct stub_slot *slot, const struct run *run, bool for_twin)
{
	if (known_noted(run))
		return;
	if (slot->writable < STUB_RUNS)
		slot->run[slot->writable] = (struct stub_run){run->va,
			run->size | (run->exec ? RUN_EXEC : 0) | (for_twin ? RUN_TWIN : 0)};
	if (slot->writable <= STUB_RUNS)
		slot->writable++;
}

static long map_here(const struct run *run, unsigned prot)
{
	long ret;

	if (known_reuse(run, prot))
		return 0;
	ret = map_once(run, prot);
	if (ret == -12) { /* ENOMEM: flushes have split mappings, or the host's limit is lower */
		flush_everything();
		ret = map_once(run, prot);
	}
	if (ret == -12)
		stub_crash(CRASH_HOST, 0, run->va, 12);
	if (ret == 0) {
		shared->slot[priv->slot].maps += 2;
		known_mapped(run);
	}
	return ret;
}

/* for_twin: for user mode, where that runs in a space of its own; else for this space. */
static bool map_run(const struct run *run, bool for_twin)
{
	struct stub_slot *slot = &shared->slot[priv->slot];
	unsigned prot = PROT_READ | (run->write ? PROT_WRITE : 0) | (run->exec ? PROT_EXEC : 0);
	long ret = 0;

	if (slot->maps >= MAPS_LIMIT)
		flush_everything();
	if (for_twin) { /* it does so before it goes on, or the program gets a fault */
		twin_map(run, prot);
		slot->maps += 2;
	} else {
		ret = map_here(run, prot);
	}
	if (run->write && run->user)
		note_writable(slot, run, for_twin);
	vcpu->count_fill++;
	vcpu->count_fill_pages += run->size >> PAGE_SHIFT;
	/* EPERM: below the host's mmap_min_addr. The guest gets a fault instead. */
	return ret == 0;
}

static bool fill(uint64_t addr, unsigned access, uint64_t window, bool for_twin, bool *present)
{
	struct walk_ram ram;
	struct walk w;
	struct run run;
	uint64_t entry, *leaf;
	bool whole;

	*present = false;
	do {
		uint64_t rights, mark = PTE_A;

		if (!walk_find(guest_ram(&ram), vcpu->cr3, addr, &w))
			return false;
		leaf = &w.table[w.index];
		entry = __atomic_load_n(leaf, __ATOMIC_RELAXED);
		if (!(entry & PTE_P))
			return false;
		*present = true;
		rights = walk_rights(entry | PTE_D, w.limits);
		if ((access & PF_WRITE) && !(rights & PTE_W))
			return false;
		if ((access & PF_USER) && !(rights & PTE_U))
			return false;
		if ((access & PF_EXEC) && (rights & PTE_NX))
			return false;
		if (access & PF_WRITE)
			mark |= PTE_D;
		if (walk_mark(leaf, entry, mark)) {
			entry |= mark;
			break;
		}
	} while (1);
	if (!fillable(addr))
		return false;
	walk_run(&w, entry, addr, RUN_MAX, &run);
	/* A guest's fault that sets a larger page has been for all of it. */
	whole = w.shift != PAGE_SHIFT && window < 1ul << HUGE_SHIFT;
	if (!clip(&run, addr, whole ? 1ul << HUGE_SHIFT : window, ram.size))
		return false;
	run.populate = whole || run.size <= POPULATE_MAX;
	return map_run(&run, for_twin && run.user);
}

bool tlb_fill(uint64_t addr, unsigned access, bool *present)
{
	return fill(addr, access, 1ul << HUGE_SHIFT, priv->twin && (access & PF_USER), present);
}

/*
 * LUCID_HC_PREMAP: the guest has just set the entry for addr and the access will
 * be tried again; mapping now saves the fault. Failure is no error. Of the direct
 * map, which is there: its memory.
 */
uint64_t hypercall_premap(uint64_t addr, uint64_t write);
uint64_t hypercall_premap(uint64_t addr, uint64_t write)
{
	bool present;

	if (addr - LUCID_DIRECT_BASE < LUCID_KERNEL_BASE - LUCID_DIRECT_BASE)
		return block_make(addr);
	vcpu->count_premap++;
	if (fillable(addr))
		fill(addr, write ? PF_WRITE : 0, write ? PREMAP_WRITTEN : PREMAP_READ,
			priv->twin_fault, &present);
	return 0;
}
