/* SPDX-License-Identifier: GPL-2.0 */
/* What patch.c and slot.c share. mmap_lock is held for writing unless it says otherwise. */
#ifndef _LUCID_PATCH_H
#define _LUCID_PATCH_H

#include "lucid.h"

#define SYSCALL_SIZE 2
#define JUMP_SIZE 5
#define XOR_SIZE 2
#define SLOT_CODE 48

/* mov $nr, %eax: its opcode; and mov 8(%rsp), %r9, the last step of syscall(3). */
#define MOV_EAX 0xb8
#define LOAD_R9 {0x4c, 0x8b, 0x4c, 0x24, 0x08}

struct slot {
	u8 code[SLOT_CODE];
	u8 old[JUMP_SIZE]; /* what is now the jump to the slot */
	s8 cave; /* 0: the jump is at the call; else where it is, from the end of the call */
	u8 unused[10];
};
static_assert(sizeof(struct slot) == 64);

/*
 * Makes the code of the slot at address at: insn, which is one of the two above, a system
 * call, then to ret. Takes no lock.
 */
void lucid_make_slot(struct slot *slot, unsigned long at, unsigned long ret, const u8 *insn);
/* What a slot says; NULL: it is not in use. Takes no lock. */
const u8 *lucid_read_slot(const struct slot *slot, unsigned long at, unsigned long *ret);
/* A free slot within reach of ret, which is in vma; 0: there is none. */
unsigned long lucid_find_slot(struct mm_struct *mm, struct vm_area_struct *vma, unsigned long ret);
/*
 * Writes to the process's private copy of a page that it may not write itself, if the bytes
 * there are still old (NULL: whatever they are). All in one page.
 */
int lucid_poke(struct mm_struct *mm, unsigned long addr, const void *new, const void *old,
	       unsigned int size);

#endif
