/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A user pointer must lie below TASK_SIZE_MAX and outside the image window, which
 * lies below it too: any other is turned into one that always faults.
 */
#ifndef _ASM_X86_LUCID_UACCESS_H
#define _ASM_X86_LUCID_UACCESS_H

#include <asm/page_types.h>

#ifdef __ASSEMBLY__
.macro LUCID_CHECK_USER_PTR ptr:req, tmp:req
	movabs	$TASK_SIZE_MAX, %\tmp
	cmp	%\tmp, %\ptr
	cmova	%\tmp, %\ptr
	mov	%\ptr, %\tmp
	shr	$LUCID_WINDOW_SHIFT, %\tmp
	cmp	$LUCID_WINDOW_NR, %\tmp
	mov	$__START_KERNEL_map, %\tmp
	cmove	%\tmp, %\ptr
.endm
#endif

#endif
