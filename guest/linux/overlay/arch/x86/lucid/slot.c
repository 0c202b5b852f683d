// SPDX-License-Identifier: GPL-2.0
/*
 * Slots: what a patched system call jumps to (patch.c has the whole story). A page of them,
 * an area, is anonymous memory of the process that it can read and execute:
 *
 *	mov  %rdx, %r11
 *	[mov $0, %eax; mov $0, %ecx; mov $0, %edx; wrpkru	with protection keys]
 *	mov  $nr, %eax						or mov 8(%rsp), %r9
 *	lea  ret, %rcx
 *	jmp  *area				LUCID_HC_USER_SYSCALL
 *
 * Where the number is in rax already, r9, which is about to be loaded, keeps it meanwhile.
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

static const u8 load_r9[] = LOAD_R9;

/* mov %rax, %r9, which is about to be loaded; and back */
static const u8 save_rax[] = {0x49, 0x89, 0xc1}, load_rax[] = {0x4c, 0x89, 0xc8};
static const u8 keys[] = {0xb8, 0, 0, 0, 0, 0xb9, 0, 0, 0, 0, 0xba, 0, 0, 0, 0, 0x0f, 0x01, 0xef};
static const u8 save_rdx[] = {0x49, 0x89, 0xd3}; /* mov %rdx, %r11 */

static bool with_keys(void)
{
	return lucid_info->features & LUCID_FEATURE_PKU;
}

/* Where in a slot its own instruction is, by what the slot loads with keys around it. */
static unsigned int insn_at(bool loads)
{
	unsigned int at = sizeof(save_rdx);

	if (with_keys())
		at += sizeof(keys) + (loads ? sizeof(save_rax) + sizeof(load_rax) : 0);
	return at;
}

static u8 *add(u8 *p, const u8 *code, size_t size)
{
	memcpy(p, code, size);
	return p + size;
}

void lucid_make_slot(struct slot *slot, unsigned long at, unsigned long ret, const u8 *insn)
{
	bool loads = insn[0] == load_r9[0];
	unsigned long area = at & PAGE_MASK;
	u8 *p = add(slot->code, save_rdx, sizeof(save_rdx));

	if (with_keys()) {
		if (loads)
			p = add(p, save_rax, sizeof(save_rax));
		p = add(p, keys, sizeof(keys));
		if (loads)
			p = add(p, load_rax, sizeof(load_rax));
	}
	p = add(p, insn, JUMP_SIZE);
	*p++ = 0x48; /* lea rel(%rip), %rcx */
	*p++ = 0x8d;
	*p++ = 0x0d;
	put_unaligned((u32)(ret - (at + (p - slot->code) + 4)), (u32 *)p);
	p += 4;
	*p++ = 0xff; /* jmp *rel(%rip) */
	*p++ = 0x25;
	put_unaligned((u32)(area - (at + (p - slot->code) + 4)), (u32 *)p);
}

const u8 *lucid_read_slot(const struct slot *slot, unsigned long at, unsigned long *ret)
{
	unsigned int offset = insn_at(false);
	const u8 *insn = slot->code + offset;

	if (insn[0] != MOV_EAX || (with_keys() && slot->code[3] == save_rax[0])) {
		offset = insn_at(true);
		insn = slot->code + offset;
		if (memcmp(insn, load_r9, sizeof(load_r9)))
			return NULL;
	}
	*ret = at + offset + 12 + (s32)get_unaligned((const u32 *)(insn + 8));
	return insn;
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
	unsigned long offset = regs->ip - area, ret, r9;
	unsigned long at = area + ALIGN_DOWN(offset, sizeof(struct slot));
	struct slot slot;
	const u8 *insn;

	offset = regs->ip - at;
	if (at == area || !fetch(&slot, at, sizeof(slot)))
		return;
	insn = lucid_read_slot(&slot, at, &ret);
	if (!insn)
		return;
	if (offset > 0)
		regs->dx = regs->r11;
	if (insn[0] == MOV_EAX) {
		regs->ax = get_unaligned((const u32 *)(insn + 1));
		regs->ip = ret - SYSCALL_SIZE;
	} else if (offset > insn_at(true)) {
		regs->ip = ret - SYSCALL_SIZE;
	} else { /* r9 is not loaded yet */
		if (with_keys() && offset > sizeof(save_rdx))
			regs->ax = regs->r9;
		regs->ip = ret - SYSCALL_SIZE;
		/* A step has to get further; but once more from the start if that is to fault. */
		if (fetch(&r9, regs->sp + sizeof(long), sizeof(r9)))
			regs->r9 = r9;
		else
			regs->ip -= JUMP_SIZE;
	}
}

/* On the way to a slot, between two jumps? The xor has been done, then. */
static void leave_cave(struct pt_regs *regs)
{
	unsigned long at, ret;
	u8 jump[JUMP_SIZE];
	struct slot slot;

	if (!fetch(jump, regs->ip, sizeof(jump)) || jump[0] != 0xe9)
		return;
	at = regs->ip + JUMP_SIZE + (s32)get_unaligned((u32 *)(jump + 1));
	if (area_of(at) && fetch(&slot, at, sizeof(slot)) &&
	    lucid_read_slot(&slot, at, &ret) && slot.cave && ret + slot.cave == regs->ip) {
		regs->ax = 0;
		regs->flags &= ~(X86_EFLAGS_CF | X86_EFLAGS_SF | X86_EFLAGS_OF);
		regs->flags |= X86_EFLAGS_ZF | X86_EFLAGS_PF;
		regs->ip = ret - SYSCALL_SIZE;
	}
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

	if (get_user_pages_remote(mm, area, 1, FOLL_FORCE, &page, NULL) != 1)
		return 0;
	slots = page_address(page);
	for (i = 1; i < SLOTS && !at; i++)
		if (!lucid_read_slot(&slots[i], area + i * sizeof(*slots), &ret))
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
