// SPDX-License-Identifier: GPL-2.0
/*
 * Slots: what a patched system call jumps to (patch.c has the whole story). A page of them,
 * an area, is anonymous memory of the process that it can read and execute:
 *
 *	mov  %rdx, %r11
 *	[mov $0, %eax; mov $0, %ecx; mov $0, %edx; wrpkru	with protection keys]
 *	mov  $nr, %eax
 *	lea  ret, %rcx
 *	jmp  *area				LUCID_HC_USER_SYSCALL
 *
 * At a slot's end is what the patch has replaced. A process that changes its slots harms
 * itself: no more is read back from them than what it could do anyway.
 */
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/uaccess.h>
#include <linux/unaligned.h>
#include <asm/lucid.h>

#include "patch.h"

#define SLOTS (PAGE_SIZE / sizeof(struct slot)) /* the first one has the kernel's address */
#define REACH (SZ_1G - PAGE_SIZE)

/* Offset of mov $nr. */
static unsigned int nr_at(void)
{
	return lucid_info->features & LUCID_FEATURE_PKU ? 3 + 18 : 3;
}

void lucid_make_slot(struct slot *slot, unsigned long at, unsigned long ret, u32 nr)
{
	static const u8 keys[] = {0xb8, 0, 0, 0, 0, 0xb9, 0, 0, 0, 0, 0xba, 0, 0, 0, 0,
				  0x0f, 0x01, 0xef};
	unsigned long area = at & PAGE_MASK;
	u8 *p = slot->code;

	*p++ = 0x49; /* mov %rdx, %r11 */
	*p++ = 0x89;
	*p++ = 0xd3;
	if (nr_at() > 3) {
		memcpy(p, keys, sizeof(keys));
		p += sizeof(keys);
	}
	*p++ = 0xb8; /* mov $nr, %eax */
	put_unaligned(nr, (u32 *)p);
	p += 4;
	*p++ = 0x48; /* lea rel(%rip), %rcx */
	*p++ = 0x8d;
	*p++ = 0x0d;
	put_unaligned((u32)(ret - (at + (p - slot->code) + 4)), (u32 *)p);
	p += 4;
	*p++ = 0xff; /* jmp *rel(%rip) */
	*p++ = 0x25;
	put_unaligned((u32)(area - (at + (p - slot->code) + 4)), (u32 *)p);
}

bool lucid_read_slot(const struct slot *slot, unsigned long at, unsigned long *ret, u32 *nr)
{
	const u8 *p = slot->code + nr_at();

	if (*p != 0xb8)
		return false;
	*nr = get_unaligned((const u32 *)(p + 1));
	*ret = at + nr_at() + 12 + (s32)get_unaligned((const u32 *)(p + 8));
	return true;
}

static unsigned long area_of(unsigned long ip)
{
	const struct lucid_patches *patches = &current->mm->context.lucid;
	int i;

	for (i = 0; i < LUCID_PATCH_AREAS; i++)
		if (patches->area[i] && ip - patches->area[i] < PAGE_SIZE)
			return patches->area[i];
	return 0;
}

/* The program has just been executing it: it is there. */
static bool fetch(void *to, unsigned long from, size_t size)
{
	bool done;

	pagefault_disable();
	done = !__copy_from_user_inatomic(to, (void __user *)from, size);
	pagefault_enable();
	return done;
}

static void leave_slot(struct pt_regs *regs, unsigned long area)
{
	unsigned long offset = regs->ip - area, ret;
	unsigned long at = area + ALIGN_DOWN(offset, sizeof(struct slot));
	struct slot slot;
	u32 nr;

	if (offset < sizeof(slot) || !fetch(&slot, at, sizeof(slot)) ||
	    !lucid_read_slot(&slot, at, &ret, &nr))
		return;
	if (regs->ip != at)
		regs->dx = regs->r11;
	regs->ax = nr;
	regs->ip = ret - SYSCALL_SIZE;
}

/* On the way to a slot, between two jumps? Back to the first one, then. */
static void leave_cave(struct pt_regs *regs)
{
	unsigned long at, ret;
	u8 jump[JUMP_SIZE];
	struct slot slot;
	u32 nr;

	if (!fetch(jump, regs->ip, sizeof(jump)) || jump[0] != 0xe9)
		return;
	at = regs->ip + JUMP_SIZE + (s32)get_unaligned((u32 *)(jump + 1));
	if (area_of(at) && fetch(&slot, at, sizeof(slot)) &&
	    lucid_read_slot(&slot, at, &ret, &nr) && slot.cave && ret + slot.cave == regs->ip)
		regs->ip = ret - SYSCALL_SIZE - XOR_SIZE;
}

noinstr void lucid_leave_slot(struct pt_regs *regs, unsigned long vector)
{
	unsigned long area;

	if (likely(!current->mm->context.lucid.area[0]))
		return;
	instrumentation_begin();
	area = area_of(regs->ip);
	if (area)
		leave_slot(regs, area);
	else if (vector == LUCID_VEC_EVENT || vector == LUCID_VEC_DB)
		leave_cave(regs);
	instrumentation_end();
}

/* Maps an area below the file of vma. */
static unsigned long new_area(struct mm_struct *mm, struct vm_area_struct *vma)
{
	struct vm_unmapped_area_info info = {
		.flags = VM_UNMAPPED_AREA_TOPDOWN,
		.length = PAGE_SIZE,
		.low_limit = SZ_64K,
		.high_limit = vma->vm_start,
	};
	unsigned long addr, populate, entry = lucid_info->hypercall[LUCID_HC_USER_SYSCALL];
	int i;

	for (i = 0; i < LUCID_PATCH_AREAS && mm->context.lucid.area[i]; i++)
		;
	if (i == LUCID_PATCH_AREAS || !entry)
		return 0;
	if (vma->vm_start > LUCID_WINDOW_END)
		info.low_limit = max(vma->vm_start - REACH, (unsigned long)LUCID_WINDOW_END);
	addr = vm_unmapped_area(&info);
	if (IS_ERR_VALUE(addr))
		return 0;
	addr = do_mmap(NULL, addr, PAGE_SIZE, PROT_READ | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, 0, 0, &populate, NULL);
	if (IS_ERR_VALUE(addr) || lucid_poke(mm, addr, &entry, NULL, sizeof(entry)))
		return 0;
	mm->context.lucid.area[i] = addr;
	return addr;
}

/*
 * The first slot of the area that is not in use, 0: none. The page itself tells: a fork may
 * have copied any state of it.
 */
static unsigned long free_slot(struct mm_struct *mm, unsigned long area)
{
	const struct slot *slots;
	struct page *page;
	unsigned long at = 0, ret;
	unsigned int i;
	u32 nr;

	if (get_user_pages_remote(mm, area, 1, FOLL_FORCE, &page, NULL) != 1)
		return 0;
	slots = page_address(page);
	for (i = 1; i < SLOTS && !at; i++)
		if (!lucid_read_slot(&slots[i], area + i * sizeof(*slots), &ret, &nr))
			at = area + i * sizeof(*slots);
	put_page(page);
	return at;
}

unsigned long lucid_find_slot(struct mm_struct *mm, struct vm_area_struct *vma, unsigned long ret)
{
	unsigned long at, area;
	int i;

	for (i = 0; i < LUCID_PATCH_AREAS; i++) {
		area = mm->context.lucid.area[i];
		if (!area || abs_diff(area, ret) > REACH)
			continue;
		at = free_slot(mm, area);
		if (at)
			return at;
	}
	area = new_area(mm, vma);
	return area ? area + sizeof(struct slot) : 0;
}
