/* SPDX-License-Identifier: MIT */
/*
 * The stub: freestanding code that is the CPU of a guest. It turns host signals
 * into x86 trap frames, keeps the space's mappings as a TLB over the guest's page
 * tables, and passes the baton between spaces. It has no state but the pages of
 * abi/space.h, and runs on the guest's side of the wall: nothing trusts it.
 *
 * It uses general registers only: x87, SSE and AVX state belongs to the guest.
 */
#ifndef STUB_STUB_H
#define STUB_STUB_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/space.h"

#define vcpu ((struct lucid_vcpu *)LUCID_VCPU_ADDR)
#define info ((const struct lucid_info *)LUCID_INFO_ADDR)
#define priv ((struct stub_private *)STUB_PRIVATE_ADDR)
#define shared ((struct stub_shared *)STUB_SHARED_ADDR)
#define machine ((struct stub_machine *)STUB_MACHINE_ADDR)

/* The bits of a page fault's error code. */
#define PF_PRESENT 1u
#define PF_WRITE 2u
#define PF_USER 4u
#define PF_EXEC 16u

/* Low bits of stub_run.size. */
#define RUN_EXEC 1ul
#define RUN_TWIN 2ul

/* Runs up to this long are populated at once; of longer ones the host faults in what is touched. */
#define POPULATE_MAX (32 * 4096ul)

#define load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define full_barrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* trap.c */

/* Gives the VM up, with a record for the monitor. */
_Noreturn void stub_crash(unsigned reason, uint64_t rip, uint64_t addr, uint64_t detail);

/* fill.c */

/*
 * Maps what the guest's tables say about addr, if they allow access (PF_WRITE,
 * PF_USER, PF_EXEC). true: done, retry the access. false: a fault of the guest's,
 * and *present tells the P bit of its error code.
 */
bool tlb_fill(uint64_t addr, unsigned access, bool *present);
/* Do the guest's tables have an entry for addr? */
bool tlb_entry_present(uint64_t addr);

/* block.c */

/*
 * Has the host make the 2 MiB around an address of the direct map. true: there was nothing of
 * them, so they are zero.
 */
bool block_make(uint64_t addr);

/* flush.c */

/* Drops this space's mappings of user addresses in [start, end), or parks them. */
void flush_user_range(uint64_t start, uint64_t end);
/* Drops all mappings of user addresses of this space. */
void flush_user_all(void);
/* Drops all that was ever filled, kernel addresses too: room for new mappings. */
void flush_everything(void);
/* Follows what other spaces did to the kernel's part and the image window. */
void flush_catch_up(void);

/* known.c */

struct run;

/* The run is mapped already, or parked: gives it these rights. false: it has to be mapped. */
bool known_reuse(const struct run *run, unsigned prot);
/* The run has been mapped. */
void known_mapped(const struct run *run);
/* Is all of the writable run in slot.run? From here on it is. */
bool known_noted(const struct run *run);
/* slot.run is empty. */
void known_list_done(void);
/* Takes all rights from what is mapped in [start, end); false: it has to be unmapped. */
bool known_park(uint64_t start, uint64_t end);
bool known_any_parked(uint64_t start, uint64_t end);
/* User addresses, or all of them, have been unmapped. */
void known_dropped(uint64_t start, uint64_t end);
void known_dropped_all(void);

/* switch.c */

/* Waits for the baton and goes on as shared.resume says. On the stub's own stack. */
_Noreturn void space_wait(void);
/*
 * Hands the vCPU to the space of slot; returns when some space of this vCPU (by
 * then another process, perhaps) is given the baton with RESUME_SWITCH. With
 * STUB_SLOTS for the slot nobody gets it until the monitor gives it away.
 */
void stub_switch(unsigned slot, unsigned leave_as);
/* This space's twin has ended: the ASID moves to another space, that goes on with both. */
void stub_renew(void);
/* Parks this vCPU if the machine is to pause; returns when it goes on. */
void stub_pause(void);
static inline bool pause_wanted(void)
{
	return __atomic_load_n(&machine->pause, __ATOMIC_RELAXED);
}
/* Moves the current ASID to a clean spare space, this one is cleaned beside it. */
bool switch_retire(void);

/* look.c */

/* The process id of a space's twin, the only child that it may have; 0 or -errno. For the zygote.
 */
long twin_of(unsigned pid);
/* KiB of page tables that the host has for a space and its twin, or -errno. For the zygote. */
long page_tables(unsigned pid);

/* place.c */

/* The space has been given the baton: it goes where the vCPU is. */
void place_take(void);
/* The space has done something without the baton since that TSC value: no time stolen. */
void place_left(uint64_t since);

/* send.c */

/*
 * A kick has arrived, or the baton has: from here on another one is sent to whoever wants
 * this vCPU to look. Before looking at what it may have been for.
 */
void kick_taken(void);
/* Sets bits of another vCPU's pending, or of this one's, and sees that it notices. */
void send_events(uint64_t id, uint64_t events);

/* call.c */

/* Adds a TSC deadline's event to what is pending, if it has passed; else tells ns until then. */
bool timer_expired(uint64_t *left);
void set_timerfd(uint64_t ns);
/* Asks the monitor and waits for the answer. */
long monitor_call(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);

/* entry.S */

/* Enters the guest kernel's trap entry on the given frame. */
_Noreturn void stub_enter(struct lucid_frame *frame, uint64_t error, uint64_t vector);
/* Returns to the guest through frame, as LUCID_HC_RETURN. */
_Noreturn void stub_leave(struct lucid_frame *frame);
/* rt_sigreturn to the frame of uc; the second delivers a pending event instead. */
_Noreturn void stub_sigreturn(void *uc, unsigned mode);
_Noreturn void stub_resume_kernel(void *uc);
/* Restores the guest's registers of stub_switch() and returns from it. */
_Noreturn void stub_switched(void);
/* Jumps to the guest's start. */
_Noreturn void stub_start(uint64_t entry, uint64_t stack);
/* Parks the vCPU with a frame that it goes on with: stub_pause() and stub_leave(). */
_Noreturn void stub_stop(struct lucid_frame *frame);

/* Restartable sequences of entry.S: a signal inside goes back to the start. */
extern const char stub_return_start[], stub_return_end[], stub_return_restart[];
extern const char stub_tail_start[], stub_tail_end[];
extern const char stub_resume_start[], stub_resume_end[];
extern const char stub_again_start[], stub_again_end[];
/* What a handler does before it knows whom it interrupted. */
extern const char stub_signal_entry_pku[], stub_signal_entered[];
/* A program's own way in, up to where it has become the kernel. */
extern const char stub_syscall[], stub_syscall_entered[];
extern const char stub_text_start[], stub_text_end[];

#endif
