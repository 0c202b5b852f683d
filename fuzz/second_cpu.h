/* SPDX-License-Identifier: MIT */
/*
 * A second CPU of the guest, a thread: it changes bytes all the time, so that whatever is read
 * twice is different the second time.
 */
#ifndef FUZZ_SECOND_CPU_H
#define FUZZ_SECOND_CPU_H

#include <stdint.h>

/* Makes it, once; it sleeps. */
void second_cpu_init(void);
/* Has it change this byte, too, from now on, if it has not too many already. */
void second_cpu_flip(volatile uint8_t *byte, uint8_t mask);
/* Returns when it sleeps again. */
void second_cpu_rest(void);

#endif
