/* SPDX-License-Identifier: MIT */
/* How the monitor's files touch words that it shares with a guest. */
#ifndef MONITOR_SHARED_H
#define MONITOR_SHARED_H

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#define load(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n(p, v, __ATOMIC_SEQ_CST)
#define exchange(p, v) __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)

static inline void wake(unsigned *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

#endif
