/* SPDX-License-Identifier: MIT */
/* The twin of a space: a process for user mode alone, stub/twin.c. */
#ifndef STUB_TWIN_H
#define STUB_TWIN_H

#include <linux/signal.h>

#include "stub/stub.h"
#include "stub/walk.h"

struct sigcontext_64;

#define orders ((struct stub_twin *)STUB_TWIN_ADDR)

static inline void twin_copy(void *to, const void *from, unsigned long size)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

/* twin.c */

/* Ends this process: a program gets a fault, a space that was idle is made again. */
_Noreturn void twin_give_up(void);
/* Has it do now what it is to do, and wait again. */
void twin_work(void);

/* twin_birth.c */

/* Makes the twin of this space, at its birth. false: the host does not let it. */
bool twin_create(void);

/* twin_orders.c */

/* Has the twin drop its user mappings of [start, end), or all, before it goes on. */
void twin_unmap(uint64_t start, uint64_t end);
void twin_unmap_all(void);
/* Has it map a run; has it take write access from one, or drop it. */
void twin_map(const struct run *run, unsigned prot);
void twin_protect(uint64_t start, uint64_t size);
/* Has it run where its space does. */
void twin_follow_place(void);

/* Reads what user mode could read. false: it could not. */
bool twin_read(uint64_t addr, void *to, unsigned size);

/* trap.c: what stopped the twin, its registers, GS base. With user mode's FPU and FS base. */
_Noreturn void user_trapped(int sig, const siginfo_t *si, struct sigcontext_64 *r, uint64_t gs);
/* The same for a fault of the way out: the frame is what it could not go to. */
_Noreturn void user_exit_fault(struct lucid_frame *frame);
void flush_before_kernel(void);

/* entry.S */

/* Takes what is pending, as if user mode had got to the frame. */
_Noreturn void stub_event(struct lucid_frame *frame);
struct seccomp_notif;
/*
 * The next call of the twin. 0, or -errno; -EAGAIN: an event that is in mask is pending,
 * -ESRCH: the twin has ended.
 */
long twin_receive(struct seccomp_notif *call, unsigned fd, uint64_t mask);
extern const char twin_receive_start[], twin_receive_end[];

/* twin_text.S */
extern const char twin_start[], twin_signal[], twin_exit[], twin_called[], twin_end[];

#endif
