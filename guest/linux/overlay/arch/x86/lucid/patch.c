// SPDX-License-Identifier: GPL-2.0
/*
 * System calls without a trap. A trap costs ten times what it takes to get to the kernel,
 * so a system call that traps again and again is patched, in the process's private copy of
 * the page:
 *
 *	b8 nr32		mov  $nr, %eax			e9 rel32	jmp  slot
 *	0f 05		syscall				0f 05		syscall
 *
 *	4c 8b 4c 24 08	mov  8(%rsp), %r9		e9 rel32	jmp  slot
 *	0f 05		syscall				0f 05		syscall
 *
 *	31 c0		xor  %eax, %eax			eb rel8		jmp  cave
 *	0f 05		syscall				0f 05		syscall
 *			...						...
 *	0f 1f 44 00 00	nop, after a ret		e9 rel32  cave:	jmp  slot
 *
 * The syscall instruction stays, so both places where the program, one of its threads, a
 * signal's return or a restarted call can be are as good as before: the second just traps.
 * A slot (slot.c) is code that loads the number and the return address and jumps to the
 * stub, as a kernel's own entry. It changes what a system call changes: rax, rcx, r11.
 * Nothing is written to the program's stack. A trap in a slot is moved to the syscall
 * instruction, with rax set (or r9): nobody sees an address in a slot, and a single step over the
 * jump is one over the mov.
 *
 * Only text of files that the program has mapped privately and cannot write is patched:
 * nothing else is sure to stay what it is. A program that reads its text sees the jump.
 * Whoever minds has personality bit PERSONALITY_UNPATCHED, or the whole machine
 * lucid_patch=off; and where user mode has a space of its own a jump gains nothing. A traced process gets its text back and keeps it.
 *
 * The text is changed in place, while other threads may be executing it, so the bytes have
 * to be one store: where they are not within 16 aligned ones, the CPUs are stopped.
 */
#include <linux/hash.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/stop_machine.h>
#include <linux/task_work.h>
#include <linux/uaccess.h>
#include <linux/unaligned.h>
#include <asm/insn.h>
#include <asm/lucid.h>

#include "patch.h"

#define PERSONALITY_UNPATCHED 0x10000000

#define PATCH_AFTER 8 /* traps: about what patching costs */
#define CAVE_REACH 100 /* where a cave is looked for, in bytes from the call's end */

static bool enabled __ro_after_init = true;

static int __init parse_patch(char *arg)
{
	return kstrtobool(arg, &enabled);
}
early_param("lucid_patch", parse_patch);

/* A call that is to be patched. */
struct site {
	struct callback_head work;
	struct mm_struct *mm; /* for comparison only */
	unsigned long ret; /* behind the syscall instruction */
	u32 nr;
};

/* ---- Which calls are worth it ---------------------------------------------------- */

struct hot {
	unsigned long key;
	unsigned int count;
};

static DEFINE_PER_CPU(struct hot[128], hot);

static void patch_work(struct callback_head *head);

static void count_trapped(const struct pt_regs *regs)
{
	struct mm_struct *mm = current->mm;
	unsigned long key = regs->ip ^ mm->context.ctx_id << 47;
	struct hot *h = this_cpu_ptr(&hot[hash_64(key, 7)]);
	struct site *site;

	if (h->key != key) {
		h->key = key;
		h->count = 0;
	}
	if (++h->count != PATCH_AFTER)
		return;
	site = kmalloc(sizeof(*site), GFP_ATOMIC | __GFP_NOWARN);
	if (!site)
		return;
	site->mm = mm;
	site->ret = regs->ip;
	site->nr = regs->orig_ax;
	init_task_work(&site->work, patch_work);
	if (task_work_add(current, &site->work, TWA_RESUME))
		kfree(site);
}

noinstr void lucid_syscall_trapped(struct pt_regs *regs)
{
	if (!enabled || (lucid_info->features & LUCID_FEATURE_SPLIT) ||
	    current->mm->context.lucid.off || current->ptrace ||
	    (current->personality & PERSONALITY_UNPATCHED))
		return;
	instrumentation_begin();
	count_trapped(regs);
	instrumentation_end();
}

/* ---- The text ------------------------------------------------------------------------ */

struct poke {
	void *at;
	const void *new;
	unsigned int size;
};

static int poke_stopped(void *arg)
{
	const struct poke *p = arg;

	memcpy(p->at, p->new, p->size);
	return 0;
}

int lucid_poke(struct mm_struct *mm, unsigned long addr, const void *new, const void *old,
	       unsigned int size)
{
	unsigned int inside = addr & 15;
	struct page *page;
	int ret = 0;
	long n;
	u8 *at;

	n = get_user_pages_remote(mm, addr, 1, FOLL_WRITE | FOLL_FORCE, &page, NULL);
	if (n != 1)
		return n < 0 ? n : -EFAULT;
	at = (u8 *)page_address(page) + offset_in_page(addr);
	if (old && memcmp(at, old, size)) {
		ret = -EAGAIN;
	} else if (inside + size <= 16) {
		u128 *block = (u128 *)(at - inside), was = *block, is = was;

		memcpy((u8 *)&is + inside, new, size);
		if (cmpxchg128(block, was, is) != was)
			ret = -EAGAIN;
	} else if (!old || (mm == current->mm && atomic_read(&mm->mm_users) == 1)) {
		memcpy(at, new, size);
	} else {
		stop_machine(poke_stopped, &(struct poke){at, new, size}, NULL);
	}
	set_page_dirty_lock(page);
	put_page(page);
	return ret;
}

static const u8 load_r9[] = LOAD_R9;

/* The page of text that a call ends in, as the program has it. */
struct text {
	u8 byte[PAGE_SIZE];
	unsigned int ret; /* offset of the call's end; PAGE_SIZE where it is the page's */
};

/* Is it a file's page that stays as it is? */
static struct vm_area_struct *read_text(struct mm_struct *mm, unsigned long ret, struct text *text)
{
	const unsigned long need = VM_READ | VM_EXEC | VM_MAYWRITE;
	unsigned long page = (ret - 1) & PAGE_MASK;
	struct vm_area_struct *vma = vma_lookup(mm, page);

	if (!vma || !vma->vm_file ||
	    (vma->vm_flags & (need | VM_WRITE | VM_SHARED | VM_IO | VM_PFNMAP)) != need)
		return NULL;
	text->ret = ret - page;
	if (text->ret < JUMP_SIZE + SYSCALL_SIZE ||
	    copy_from_user_nofault(text->byte, (void __user *)page, PAGE_SIZE))
		return NULL;
	return vma;
}

/*
 * Takes b8 of mov $nr for its ModRM byte, so has it accessed nr(%rax)? It cannot have: the
 * number is in rax, and there is no memory at twice a number. Zeros that fill up the space
 * before a function look like that.
 */
static bool would_fault(const struct insn *insn, unsigned int mov_at)
{
	const u8 op = insn->opcode.bytes[0];

	return insn->modrm.nbytes && insn->modrm.bytes[0] == 0xb8 &&
	       insn_offset_modrm((struct insn *)insn) == mov_at &&
	       !X86_REX_B(insn->rex_prefix.bytes[0]) && op != 0x0f && op != 0x8d;
}

/*
 * The size of the instruction before the syscall, if it is one that we know; 0 otherwise.
 * The bytes could be the end of a longer one: that would have to end where the syscall
 * begins too, so nothing that does may have a start before ours.
 */
static unsigned int insn_before(const struct text *text, u32 nr)
{
	const u8 *end = text->byte + text->ret - SYSCALL_SIZE;
	unsigned int size = 0, i;
	struct insn insn;

	if (end[-JUMP_SIZE] == MOV_EAX && get_unaligned((u32 *)(end - 4)) == nr)
		size = JUMP_SIZE;
	else if (!memcmp(end - JUMP_SIZE, load_r9, JUMP_SIZE))
		size = JUMP_SIZE;
	else if (end[-XOR_SIZE] == 0x31 && end[-1] == 0xc0 && nr == 0)
		size = XOR_SIZE;
	if (!size || end[0] != 0x0f || end[1] != 0x05)
		return 0;
	for (i = size + 1; i <= MAX_INSN_SIZE && i + SYSCALL_SIZE <= text->ret; i++)
		if (!insn_decode(&insn, end - i, i + SYSCALL_SIZE, INSN_MODE_64) &&
		    insn.length == i && !would_fault(&insn, i - JUMP_SIZE))
			return 0;
	return size;
}

static bool is_end(const struct insn *insn)
{
	u8 op = insn->opcode.bytes[0];

	return op == 0xc3 || op == 0xe9 || op == 0xeb;
}

static bool is_nop(const struct insn *insn)
{
	return insn->opcode.bytes[0] == 0x0f && insn->opcode.bytes[1] == 0x1f;
}

/*
 * A nop that fills up the space between functions or loops, where control does not get by
 * itself, and nobody jumps to: from the end of the call, 0: there is none near enough.
 */
static int find_cave(const struct text *text)
{
	const u8 *from = text->byte + text->ret, *end = from + CAVE_REACH, *p = from;
	bool dead = false;
	struct insn insn;

	end = min(end, text->byte + PAGE_SIZE);
	while (p < end && !insn_decode(&insn, p, end - p, INSN_MODE_64)) {
		if (dead && is_nop(&insn) && insn.length >= JUMP_SIZE)
			return p - from;
		dead = is_end(&insn) || (dead && is_nop(&insn));
		p += insn.length;
	}
	return 0;
}

static void set_jump(u8 *jump, unsigned long from, unsigned long to)
{
	jump[0] = 0xe9;
	put_unaligned((u32)(to - (from + JUMP_SIZE)), (u32 *)(jump + 1));
}

/* ---- There ---------------------------------------------------------------------------- */

static void patch(struct mm_struct *mm, const struct site *site, struct text *text)
{
	struct vm_area_struct *vma = read_text(mm, site->ret, text);
	const u8 xor[] = {0x31, 0xc0}, mov_0[] = {MOV_EAX, 0, 0, 0, 0};
	struct slot slot = {0};
	unsigned long at, from;
	u8 jump[JUMP_SIZE];
	unsigned int size;

	size = vma ? insn_before(text, site->nr) : 0;
	if (size == XOR_SIZE)
		slot.cave = find_cave(text);
	if (!size || (size == XOR_SIZE && !slot.cave))
		return;
	at = lucid_find_slot(mm, vma, site->ret);
	if (!at)
		return;
	from = site->ret + (slot.cave ?: -(JUMP_SIZE + SYSCALL_SIZE));
	memcpy(slot.old, text->byte + offset_in_page(from), JUMP_SIZE);
	lucid_make_slot(&slot, at, site->ret, slot.cave ? mov_0 : slot.old);
	set_jump(jump, from, at);
	if (lucid_poke(mm, at, &slot, NULL, sizeof(slot)))
		return;
	if (lucid_poke(mm, from, jump, slot.old, JUMP_SIZE)) {
		memset(&slot, 0, sizeof(slot));
		lucid_poke(mm, at, &slot, NULL, sizeof(slot));
	} else if (slot.cave) {
		const u8 to_cave[] = {0xeb, slot.cave + SYSCALL_SIZE};

		lucid_poke(mm, site->ret - SYSCALL_SIZE - XOR_SIZE, to_cave, xor, XOR_SIZE);
	}
}

static void patch_work(struct callback_head *head)
{
	struct site *site = container_of(head, struct site, work);
	struct mm_struct *mm = current->mm;
	struct text *text;

	/* An exec may have come between. */
	if (mm && mm == site->mm) {
		text = kmalloc(sizeof(*text), GFP_KERNEL);
		if (text && !mmap_write_lock_killable(mm)) {
			if (!mm->context.lucid.off)
				patch(mm, site, text);
			mmap_write_unlock(mm);
		}
		kfree(text);
	}
	kfree(site);
}

/* ---- And back --------------------------------------------------------------------------- */

static void unpatch(struct mm_struct *mm, const struct slot *slot, unsigned long at)
{
	u8 jump[JUMP_SIZE], xor[] = {0x31, 0xc0}, to_cave[] = {0xeb, slot->cave + SYSCALL_SIZE};
	unsigned long ret, from;

	if (!lucid_read_slot(slot, at, &ret))
		return;
	from = ret + (slot->cave ?: -(JUMP_SIZE + SYSCALL_SIZE));
	if (offset_in_page(from) > PAGE_SIZE - JUMP_SIZE ||
	    offset_in_page(ret - 1) < SYSCALL_SIZE + XOR_SIZE - 1)
		return;
	set_jump(jump, from, at);
	if (slot->cave && lucid_poke(mm, ret - SYSCALL_SIZE - XOR_SIZE, xor, to_cave, XOR_SIZE))
		return;
	/* The jump in a cave stays: a thread may be about to execute it, and nobody else does. */
	if (!slot->cave)
		lucid_poke(mm, from, slot->old, jump, JUMP_SIZE);
}

static void unpatch_area(struct mm_struct *mm, unsigned long area)
{
	struct slot *slots = kmalloc(PAGE_SIZE, GFP_KERNEL | __GFP_NOFAIL);
	unsigned int i;

	if (access_remote_vm(mm, area, slots, PAGE_SIZE, FOLL_FORCE) == PAGE_SIZE) {
		mmap_write_lock(mm);
		for (i = 1; i < PAGE_SIZE / sizeof(*slots); i++)
			unpatch(mm, &slots[i], area + i * sizeof(*slots));
		mmap_write_unlock(mm);
	}
	kfree(slots);
}

void lucid_unpatch(struct task_struct *task)
{
	struct mm_struct *mm = get_task_mm(task);
	int i;

	if (!mm)
		return;
	mmap_write_lock(mm);
	mm->context.lucid.off = true;
	mmap_write_unlock(mm);
	for (i = 0; i < LUCID_PATCH_AREAS; i++)
		if (mm->context.lucid.area[i])
			unpatch_area(mm, mm->context.lucid.area[i]);
	mmput(mm);
}
