/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * How a space is laid out inside: the contract between the stub, which runs in
 * it, and the monitor, which makes it. No guest kernel needs this file.
 *
 * A space is one host process of one vCPU. Of the vCPU's spaces exactly one
 * holds the baton and runs; the others wait in a futex on their slot's word.
 */
#ifndef LUCID_SPACE_H
#define LUCID_SPACE_H

#include "abi/lucid.h"

/* ---- The stub's part of the address map --------------------------------- */

#define STUB_TEXT_ADDR LUCID_STUB_BASE /* read, execute; shared by all */
#define STUB_TEXT_SIZE 0x10000
#define STUB_PRIVATE_ADDR LUCID_USER_ADDR /* struct stub_private; key S */
#define STUB_PRIVATE_SIZE 0x2000
#define STUB_STACK_ADDR 0x700000300000 /* own stack, then the signal stack; key K */
#define STUB_STACK_SIZE 0x10000
#define STUB_SIGSTACK_ADDR (STUB_STACK_ADDR + STUB_STACK_SIZE)
#define STUB_SIGSTACK_SIZE 0x40000
#define STUB_KNOWN_ADDR 0x700000360000 /* struct known, one a space; key K */
#define STUB_KNOWN_SIZE 0xb000
#define STUB_SHARED_ADDR 0x700000400000 /* struct stub_shared, one a vCPU; key K */
#define STUB_SHARED_SIZE 0xd000
#define STUB_MACHINE_ADDR 0x700000480000 /* struct stub_machine, one a VM; key K */
#define STUB_MACHINE_SIZE 0x1000
/* A twin's text, the last page of the stub's: all of it that the twin maps. */
#define STUB_TWIN_TEXT_ADDR (STUB_TEXT_ADDR + STUB_TEXT_SIZE - 0x1000)
#define STUB_TWIN_TEXT_SIZE 0x1000
/* Shared by a space and its twin: struct stub_twin, read-only there, and its signal stack. */
#define STUB_TWIN_ADDR 0x700000600000
#define STUB_TWIN_SIZE 0x4000
#define STUB_TWIN_STACK_ADDR (STUB_TWIN_ADDR + STUB_TWIN_SIZE)
#define STUB_TWIN_STACK_SIZE 0x10000

/* ---- Descriptors of a space -------------------------------------------------- */

#define STUB_FD_RAM 3 /* memfd of guest RAM */
#define STUB_FD_DOORBELL 4 /* eventfd to the monitor */
#define STUB_FD_TIMER 5 /* timerfd of the vCPU */
#define STUB_FD_ZYGOTE 6 /* the zygote's alone: orders from the monitor */
#define STUB_FD_PROC 7 /* the zygote's alone: /proc, if there is one */
/* The space's own schedstat. A space opens it first, so it gets the lowest number. */
#define STUB_FD_SCHEDSTAT 0
/* FIFO n of these kicks vCPU n: its owner, whom the host tells of input, has the baton. */
#define STUB_FD_KICK 64 /* a multiple of LUCID_VCPUS, for the seccomp list */

/* The signal by which the running space is interrupted: SIGUSR1. */
#define STUB_KICK_SIGNAL 10
/* By which a space learns that its twin has ended: SIGUSR2. */
#define STUB_TWIN_SIGNAL 12

/* Stand in a space's seccomp program for what it puts there itself at its birth: */
#define STUB_FILTER_PID 0x4c504944 /* its own process id */
#define STUB_FILTER_TWIN 0x4c505457 /* the descriptor of its twin's process */
#define STUB_FILTER_NOTIFY 0x4c504e54 /* the descriptor of its twin's calls */

/* How a twin says that it waits: a call that is never executed. */
#define STUB_TWIN_YIELD __NR_getppid
/* A twin unmaps below here on its own, in pieces of half of that at most. */
#define STUB_TWIN_END LUCID_USER_END

/* Bit of lucid_vcpu.pending that sends ways out of the stub to look at machine.pause. */
#define STUB_EVENT_PAUSE 7

/* ---- Monitor calls of the stub ------------------------------------------------- */

#define STUB_MC_SPACE 0x80 /* (slot): make the space of an absent slot */

/* ---- Slots ------------------------------------------------------------------------ */

/* More than ASIDs: the spares take over from spaces that are being cleaned. */
#define STUB_SLOTS (LUCID_ASIDS + 4)

/* slot.word, a futex word */
#define SLOT_ABSENT 0 /* no process */
#define SLOT_IDLE 1 /* waits for the baton */
#define SLOT_RUN 2 /* has been given the baton, has not taken it yet */
#define SLOT_HELD 3 /* has the baton */
#define SLOT_CLEAN 4 /* is to drop all user mappings, then IDLE */
#define SLOT_PARKED 5 /* has left the vCPU's state behind; nobody has the baton */

/* shared.resume: what the next holder of the baton does */
#define RESUME_SWITCH 0 /* goes on where the last one left off */
#define RESUME_START 1 /* starts the guest at shared.start */
#define RESUME_FAULT 2 /* the last one died in user mode: #GP to the guest kernel */

/* Why a space gave up: shared.crash.reason */
#define CRASH_NONE 0
#define CRASH_STUB_FAULT 1 /* the stub itself faulted */
#define CRASH_NO_ENTRY 2 /* a trap, and no trap entry is set */
#define CRASH_BAD_STACK 3 /* the kernel stack of a trap is outside the direct map and image */
#define CRASH_BAD_ASID 4
#define CRASH_HOST 5 /* the host refused a mapping, detail: errno */
#define CRASH_MONITOR 6 /* the monitor could not make a space */
#define CRASH_HYPERCALL 7 /* hypercall with impossible arguments */

#define STUB_XSAVE_SIZE 0x3000
#define STUB_CPU_WORDS 16 /* CPUs of a host beyond 1024 are left alone */
#define STUB_RANGES 8
#define STUB_RUNS 64
#define STUB_TWIN_CALLS 32
#define STUB_TWIN_FILTER 100

/* Offsets for assembler. */
#define PRIV_SELECTOR 0
#define PRIV_MODE 1
#define PRIV_PKRU 8
#define PRIV_XSAVEC 12
#define PRIV_EXIT_RAX 64
#define PRIV_EXIT_RCX 72
#define PRIV_EXIT_RDX 80
#define PRIV_EXIT_RIP 88
#define PRIV_EXIT_CS 96
#define PRIV_EXIT_RFLAGS 104
#define PRIV_EXIT_RSP 112
#define PRIV_EXIT_SS 120
#define PRIV_TWIN 132
#define PRIV_TWIN_DEAD 136
#define TWIN_COUNT 0
#define TWIN_RESUME 4
#define TWIN_FLAGS 8
#define TWIN_XCR0 16
#define TWIN_FS 24
#define TWIN_GS 32
#define TWIN_FRAME 40
#define TWIN_CALL 208
#define TWIN_CALL_SIZE 56
#define TWIN_PROGRAM 2000
#define TWIN_XSAVE 0x1000
#define SHARED_RSP 0
#define SHARED_FS 8
#define SHARED_XCR0 16
#define SHARED_XSAVE 0xa000

#ifndef __ASSEMBLER__

/* The pages of one space alone. User mode may read it (key S), not write it. */
struct stub_private {
	struct lucid_user user; /* selector first: Syscall User Dispatch reads it */
	unsigned int pkru; /* PKRU of user mode; 0: the host has no keys */
	unsigned int xsavec; /* the CPU has XSAVEC */
	unsigned int slot;
	unsigned int key_kernel; /* protection key of kernel memory, 0: none */
	unsigned long monitor; /* its process id */
	unsigned long image_gen, kernel_gen; /* how far this space has followed the machine's */
	unsigned long pid; /* this space's */
	unsigned long delayed; /* ns that it has waited for a CPU of the host, as last read */
	/* What the exit to the guest pops when the kernel's memory is out of reach. */
	unsigned long exit_rax, exit_rcx, exit_rdx;
	unsigned long exit_rip, exit_cs, exit_rflags, exit_rsp, exit_ss;
	unsigned int place; /* as shared.place: where this space may run */
	unsigned int twin; /* 1: user mode runs in a twin */
	unsigned int twin_dead; /* 1: it has ended */
	unsigned int twin_maps; /* mappings that it has, at most */
	unsigned int twin_place; /* as place: where it may run */
	unsigned int twin_failed; /* calls of it that failed, one after another */
	unsigned int twin_fault; /* 1: the last page fault was user mode's */
	unsigned int twin_fd; /* its process */
	unsigned int notify_fd; /* its calls */
	unsigned int xsave_size; /* bytes of the guest's components in a signal frame */
	unsigned long reused; /* fills that changed rights alone: stub/known.c */
	unsigned long twin_call; /* the call by which it waits; 0: it has not got there yet */
	/* The spaces' seccomp program, installed by each at its birth, and the twins'. */
	unsigned short filter_len, twin_filter_len;
	unsigned short filter_pad[2];
	unsigned long filter[400]; /* struct sock_filter */
	unsigned long twin_filter[STUB_TWIN_FILTER];
};

/* A host system call that a space has its twin make. */
struct stub_twin_call {
	unsigned long nr, arg[6];
};

/*
 * What a space tells its twin, which can read and not write it. It is obeyed by nobody but
 * the twin's text, and has nothing in it that user mode may not know.
 */
struct stub_twin {
	unsigned int count; /* of call */
	unsigned int resume; /* 1: goes on in user mode; 0: waits again after the calls */
	unsigned long flags; /* RFLAGS to load the rest with */
	unsigned long xcr0; /* state components to load */
	unsigned long fs, gs;
	struct lucid_frame frame;
	struct stub_twin_call call[STUB_TWIN_CALLS];
	struct {
		unsigned short len, pad[3];
		const void *filter;
	} program; /* struct sock_fprog */
	unsigned long cpus[STUB_CPU_WORDS];
	unsigned long filter[STUB_TWIN_FILTER];
	unsigned char xsave[STUB_XSAVE_SIZE] __attribute__((aligned(4096)));
};

/* A run that was mapped writable; it may be gone by now. */
struct stub_run {
	unsigned long start, size; /* bytes; bit 0 of size: executable too; bit 1: the twin's */
};

struct stub_slot {
	unsigned int word; /* SLOT_* */
	unsigned int maps; /* host mappings of user memory, at most */
	unsigned int flush; /* drop all user mappings before running */
	unsigned int writable; /* entries of run; more than STUB_RUNS: too many to know */
	struct stub_run run[STUB_RUNS];
};

struct stub_range {
	unsigned long start, end, prot; /* image window, LUCID_PROT_* */
};

/* Shared by the spaces of a vCPU and the monitor, which trusts none of it. */
struct stub_shared {
	/* Where the last holder of the baton left off. */
	unsigned long rsp, fs;
	unsigned long xcr0; /* state components that a switch carries */
	unsigned long start; /* guest's entry for RESUME_START */
	unsigned int resume; /* RESUME_* */
	unsigned int current; /* slot that has, or is being given, the baton */
	unsigned int asid_slot[LUCID_ASIDS];
	struct stub_slot slot[STUB_SLOTS];
	unsigned long deadline; /* TSC value at which the timer fires, 0: not armed */
	unsigned long start_sp; /* stack for RESUME_START */
	/* The CPU of the host that the vCPU keeps to, stub/place.c. */
	unsigned int place; /* its number + 1; 0: any that is allowed */
	unsigned int place_loose; /* ms that it has had none for, the last time */
	unsigned long place_until; /* TSC value up to which that holds */
	unsigned long place_since; /* TSC value of the last review */
	unsigned long place_late; /* TSC ticks that the timer was late since then, in all */
	unsigned long due; /* deadline of the last timer that was set, 0: reviewed */
	unsigned int allowed_count; /* 0: places are of no use */
	unsigned long allowed[STUB_CPU_WORDS]; /* CPUs that the machine may use */
	struct {
		unsigned int reason, signal;
		unsigned long rip, addr, detail;
	} crash;
	unsigned char xsave[STUB_XSAVE_SIZE] __attribute__((aligned(4096)));
};

/* Shared by all spaces of the machine and the monitor, which trusts none of it. */
struct stub_machine {
	unsigned long rung; /* bit n: vCPU n has rung the doorbell */
	unsigned int pause; /* 1: vCPUs are to park as soon as they can */
	unsigned int pad;
	unsigned long kernel_gen; /* counts flushes of kernel addresses */
	unsigned long image_gen; /* counts entries of range[] */
	struct stub_range range[STUB_RANGES];
	unsigned long kick[LUCID_VCPUS]; /* of each vCPU: is one on its way? stub/send.c */
};

/*
 * What the monitor tells the zygote: make the space of a slot; with pid not 0, look at the page
 * tables of that process, or with STUB_SLOTS for its twin. It answers with a long: process id or
 * KiB, or -errno.
 */
struct stub_order {
	unsigned int slot, pid;
};

/* The head of the stub's image: addresses in every space. */
struct stub_header {
	unsigned long magic; /* LUCID_MAGIC */
	unsigned long version; /* LUCID_ABI_VERSION */
	unsigned long zygote; /* void (void): never returns; stack: STUB_STACK */
	unsigned long signal[2]; /* signal handler: without and with protection keys */
	unsigned long restorer; /* SA_RESTORER */
	unsigned long hypercall[LUCID_HC_COUNT]; /* for lucid_info.hypercall */
};

#define SPACE_ASSERT(type, field, offset)                                                          \
	_Static_assert(__builtin_offsetof(struct type, field) == (offset), #field " has moved")
SPACE_ASSERT(stub_private, user.mode, PRIV_MODE);
SPACE_ASSERT(stub_private, pkru, PRIV_PKRU);
SPACE_ASSERT(stub_private, xsavec, PRIV_XSAVEC);
SPACE_ASSERT(stub_private, exit_rax, PRIV_EXIT_RAX);
SPACE_ASSERT(stub_private, exit_ss, PRIV_EXIT_SS);
SPACE_ASSERT(stub_private, twin, PRIV_TWIN);
SPACE_ASSERT(stub_private, twin_dead, PRIV_TWIN_DEAD);
SPACE_ASSERT(stub_twin, count, TWIN_COUNT);
SPACE_ASSERT(stub_twin, resume, TWIN_RESUME);
SPACE_ASSERT(stub_twin, flags, TWIN_FLAGS);
SPACE_ASSERT(stub_twin, xcr0, TWIN_XCR0);
SPACE_ASSERT(stub_twin, fs, TWIN_FS);
SPACE_ASSERT(stub_twin, gs, TWIN_GS);
SPACE_ASSERT(stub_twin, frame, TWIN_FRAME);
SPACE_ASSERT(stub_twin, call, TWIN_CALL);
SPACE_ASSERT(stub_twin, program, TWIN_PROGRAM);
SPACE_ASSERT(stub_twin, xsave, TWIN_XSAVE);
_Static_assert(sizeof(struct stub_twin_call) == TWIN_CALL_SIZE, "as twin_text.S has it");
_Static_assert(sizeof(struct stub_twin) == STUB_TWIN_SIZE, "as mapped");
SPACE_ASSERT(stub_shared, rsp, SHARED_RSP);
SPACE_ASSERT(stub_shared, fs, SHARED_FS);
SPACE_ASSERT(stub_shared, xcr0, SHARED_XCR0);
SPACE_ASSERT(stub_shared, xsave, SHARED_XSAVE);
_Static_assert(sizeof(struct stub_private) <= STUB_PRIVATE_SIZE, "as mapped");
_Static_assert(sizeof(struct stub_shared) == STUB_SHARED_SIZE, "as mapped");
_Static_assert(sizeof(struct stub_machine) <= STUB_MACHINE_SIZE, "one page");

#endif /* __ASSEMBLER__ */
#endif /* LUCID_SPACE_H */
