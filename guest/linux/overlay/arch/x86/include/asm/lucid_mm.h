/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_X86_LUCID_MM_H
#define _ASM_X86_LUCID_MM_H

#include <linux/types.h>

/* What mm/ asks the Lucid platform for. */

#ifdef CONFIG_LUCID_GUEST

/*
 * Has the host make 2 MiB of the direct map in one go, which are about to be written. true: it
 * had none of them, so they are zero.
 */
bool lucid_make_block(void *start);

#else

static inline bool lucid_make_block(void *start)
{
	return false;
}

#endif
#endif
