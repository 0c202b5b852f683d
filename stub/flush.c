/* SPDX-License-Identifier: MIT */
/* TLB flushes: a space's host mappings dropped, by range, by half, or with the space. */
#include <sys/mman.h>

#include "stub/stub.h"
#include "stub/sys.h"
#include "stub/twin.h"
#include "stub/walk.h"

/*
 * From this many mappings on, a full flush moves the ASID to a clean space and
 * lets the old one be cleaned beside the vCPU: a baton pass costs less.
 */
#define RETIRE_MAPS 64

/* false: it would have to split a mapping, and the host gives no more of them. */
static bool unmap(uint64_t start, uint64_t end)
{
	return start >= end || sys3(__NR_munmap, (long)start, (long)(end - start), 0) == 0;
}

/* The user half without the image window, which is the monitor's. */
static void drop_user_range(uint64_t start, uint64_t end)
{
	bool done;

	twin_unmap(start, end);
	if (start < LUCID_WINDOW_END && end > LUCID_IMAGE_BASE) {
		done = unmap(start, LUCID_IMAGE_BASE);
		done = unmap(LUCID_WINDOW_END, end) && done;
	} else {
		done = unmap(start, end);
	}
	known_dropped(start, end);
	/* What a flush leaves behind would be another program's memory: rather too much. */
	if (!done)
		flush_everything();
}

void flush_user_range(uint64_t start, uint64_t end)
{
	if (start < LUCID_USER_BASE)
		start = LUCID_USER_BASE;
	if (end > LUCID_USER_END)
		end = LUCID_USER_END;
	start &= ~(PAGE_SIZE - 1);
	end = (end + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	if (start < end && !known_park(start, end))
		drop_user_range(start, end);
}

void flush_user_all(void)
{
	struct stub_slot *slot = &shared->slot[priv->slot];

	if (slot->maps)
		drop_user_range(LUCID_USER_BASE, LUCID_USER_END);
	known_dropped_all();
	slot->maps = 0;
	slot->flush = 0;
	slot->writable = 0;
}

/* All of a half at a time: that splits nothing. */
void flush_everything(void)
{
	vcpu->count_evict++;
	unmap(LUCID_KERNEL_BASE, LUCID_KERNEL_END);
	unmap(LUCID_USER_BASE, LUCID_IMAGE_BASE);
	unmap(LUCID_WINDOW_END, LUCID_USER_END);
	twin_unmap_all();
	known_dropped_all();
	shared->slot[priv->slot].maps = 0;
	shared->slot[priv->slot].writable = 0;
}

static void protect(const struct stub_range *range)
{
	unsigned prot = 0;
	long ret;

	if (range->start < LUCID_IMAGE_BASE || range->end > LUCID_IMAGE_END ||
		range->start >= range->end)
		return;
	if (range->prot & LUCID_PROT_READ)
		prot |= PROT_READ;
	if (range->prot & LUCID_PROT_WRITE)
		prot |= PROT_WRITE;
	if (range->prot & LUCID_PROT_EXEC)
		prot |= PROT_EXEC;
	if (priv->key_kernel)
		ret = sys4(__NR_pkey_mprotect, (long)range->start,
			(long)(range->end - range->start), prot, priv->key_kernel);
	else
		ret = sys3(
			__NR_mprotect, (long)range->start, (long)(range->end - range->start), prot);
	if (ret < 0)
		stub_crash(CRASH_HOST, 0, range->start, (uint64_t)-ret);
}

/* Drops [start, end), or more, and says that all flushes up to gen are done. */
static void follow_kernel(unsigned long gen, uint64_t start, uint64_t end)
{
	unsigned long image_gen = __atomic_load_n(&machine->image_gen, __ATOMIC_SEQ_CST);

	while (priv->image_gen < image_gen && priv->image_gen < STUB_RANGES)
		protect(&machine->range[priv->image_gen++]);
	if (!unmap(start, end))
		flush_everything();
	priv->kernel_gen = gen;
	store_release(&vcpu->kernel_gen, gen);
}

void flush_catch_up(void)
{
	unsigned long gen = __atomic_load_n(&machine->kernel_gen, __ATOMIC_SEQ_CST);

	if (priv->kernel_gen != gen)
		follow_kernel(gen, LUCID_KERNEL_BASE, LUCID_KERNEL_END);
	else if (vcpu->kernel_gen != gen)
		store_release(&vcpu->kernel_gen, gen);
}

void hypercall_flush(uint64_t start, uint64_t end);
void hypercall_flush(uint64_t start, uint64_t end)
{
	struct stub_slot *slot = &shared->slot[priv->slot];

	vcpu->count_flush++;
	if (!slot->maps)
		return;
	if (start > LUCID_USER_BASE || end < LUCID_USER_END)
		flush_user_range(start, end);
	else if (slot->maps < RETIRE_MAPS || !switch_retire())
		flush_user_all();
}

/*
 * What a fork asks for. A run that is not there any more, in part or whole, makes
 * mprotect fail half-way: what is left of it is dropped. So is an executable one, for
 * something else may be mapped there by now, which must not become executable; and one
 * that is parked, which must not become readable.
 */
void hypercall_wrprotect(void);
void hypercall_wrprotect(void)
{
	struct stub_slot *slot = &shared->slot[priv->slot];
	unsigned i;

	vcpu->count_flush++;
	if (slot->writable > STUB_RUNS) {
		if (slot->maps < RETIRE_MAPS || !switch_retire())
			flush_user_all();
		return;
	}
	for (i = 0; i < slot->writable; i++) {
		uint64_t start = slot->run[i].start, size = slot->run[i].size & ~(PAGE_SIZE - 1);

		if ((slot->run[i].size & (RUN_EXEC | RUN_TWIN)) == RUN_TWIN)
			twin_protect(start, size);
		else if ((slot->run[i].size & RUN_EXEC) || known_any_parked(start, start + size) ||
			 sys3(__NR_mprotect, (long)start, (long)size, PROT_READ) < 0)
			drop_user_range(start, start + size);
	}
	slot->writable = 0;
	known_list_done();
}

/*
 * Here at once; in every other space of the machine when it is next given the baton, when
 * its vCPU wakes or traps out of user mode, or when the guest there asks for it with a range
 * of nothing. It drops the whole kernel part then: such flushes are rare, refilling is cheap.
 */
uint64_t hypercall_flush_kernel(uint64_t start, uint64_t end);
uint64_t hypercall_flush_kernel(uint64_t start, uint64_t end)
{
	unsigned long before;

	if (start < LUCID_KERNEL_BASE)
		start = LUCID_KERNEL_BASE;
	if (end > LUCID_KERNEL_END)
		end = LUCID_KERNEL_END;
	if (start >= end) {
		flush_catch_up();
		return priv->kernel_gen;
	}
	vcpu->count_flush++;
	before = __atomic_fetch_add(&machine->kernel_gen, 1, __ATOMIC_SEQ_CST);
	if (priv->kernel_gen != before) {
		start = LUCID_KERNEL_BASE;
		end = LUCID_KERNEL_END;
	}
	follow_kernel(
		before + 1, start & ~(PAGE_SIZE - 1), (end + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1));
	return before + 1;
}

/* LUCID_HC_PROTECT: at most STUB_RANGES in the life of a guest, for its image. */
void hypercall_protect(uint64_t start, uint64_t end, uint64_t prot);
void hypercall_protect(uint64_t start, uint64_t end, uint64_t prot)
{
	unsigned long n = __atomic_load_n(&machine->image_gen, __ATOMIC_SEQ_CST);

	if (n >= STUB_RANGES || start < LUCID_IMAGE_BASE || end > LUCID_IMAGE_END || start >= end ||
		((start | end) & (PAGE_SIZE - 1)))
		stub_crash(CRASH_HYPERCALL, (uint64_t)__builtin_return_address(0), start, end);
	machine->range[n] = (struct stub_range){start, end, prot};
	__atomic_store_n(&machine->image_gen, n + 1, __ATOMIC_SEQ_CST);
	/* Others look for it when they look for flushes. */
	__atomic_fetch_add(&machine->kernel_gen, 1, __ATOMIC_SEQ_CST);
	flush_catch_up();
}
