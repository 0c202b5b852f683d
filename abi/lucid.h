/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The Lucid ABI: what a guest kernel, the stub and the monitor agree on.
 *
 * Read docs/abi.md beside this file: it gives units, errors and ordering of
 * each item. The header stands alone and serves C and assembler alike.
 */
#ifndef LUCID_ABI_H
#define LUCID_ABI_H

#define LUCID_ABI_VERSION 1
#define LUCID_MAGIC 0x646963754c /* "Lucid" */

/* ---- Address map of a space (guest virtual) ----------------------------- */

#define LUCID_USER_BASE 0x10000 /* lowest address a TLB fill maps */
#define LUCID_USER_END 0x400000000000 /* 2^46: end of guest user space */
#define LUCID_IMAGE_BASE 0x70000000 /* VA of guest physical 0 in the image window */
#define LUCID_IMAGE_END 0x7fff0000 /* end of what an image may occupy */
#define LUCID_WINDOW_END 0x80000000 /* no user mapping in [IMAGE_BASE, WINDOW_END) */
#define LUCID_INFO_ADDR 0x7fff8000 /* struct lucid_info, read-only */
#define LUCID_INFO_SIZE 0x2000
#define LUCID_VCPU_ADDR 0x7fffe000 /* struct lucid_vcpu of the running vCPU */
#define LUCID_VCPU_SIZE 0x1000
#define LUCID_CONSOLE_ADDR 0x7fff0000 /* struct lucid_console, one a VM */
#define LUCID_CONSOLE_SIZE 0x8000
#define LUCID_DIRECT_BASE 0x400000000000 /* direct map: VA = this + PA, never executable */
#define LUCID_DIRECT_END 0x480000000000
#define LUCID_KERNEL_BASE 0x480000000000 /* filled from guest tables, supervisor */
#define LUCID_KERNEL_END 0x700000000000
#define LUCID_STUB_BASE 0x700000000000 /* the stub's own; see space.h */
#define LUCID_STUB_END 0x7ffffffff000
/* What guest user mode may read of a space's own page: struct lucid_user. */
#define LUCID_USER_ADDR 0x700000200000
/* The vCPU pages of the whole machine, in the order of ids; the kernel's alone. */
#define LUCID_VCPUS_ADDR 0x700000500000
#define LUCID_VCPUS 64 /* vCPUs a machine has at most */

/* ---- Page table entries (as x86-64, four levels, CR3 without PCID bits) -- */

#define LUCID_CR3_ASID_MASK 0xfff
#define LUCID_CR3_NOFLUSH (1ULL << 63)
#define LUCID_ASIDS 32 /* ASIDs a guest may use: 0 .. LUCID_ASIDS - 1 */

/* ---- Traps ----------------------------------------------------------------- */

/* Vectors 0 to 31 are the CPU's exceptions. */
#define LUCID_VEC_DE 0
#define LUCID_VEC_DB 1
#define LUCID_VEC_BP 3
#define LUCID_VEC_OF 4
#define LUCID_VEC_UD 6
#define LUCID_VEC_SS 12
#define LUCID_VEC_GP 13
#define LUCID_VEC_PF 14
#define LUCID_VEC_MF 16
#define LUCID_VEC_AC 17
#define LUCID_VEC_XM 19
#define LUCID_VEC_SYSCALL 0x100 /* error code: 0 by the instruction, 1 by USER_SYSCALL */
#define LUCID_VEC_EVENT 0x101 /* pending != 0 and interrupts enabled */

/* Selectors that frames carry. Bit 0 and 1 of cs tell the mode. */
#define LUCID_USER_CS 0x33
#define LUCID_USER_SS 0x2b
#define LUCID_KERNEL_CS 0x10
#define LUCID_KERNEL_SS 0x18

/* A kernel-mode trap leaves this much of the interrupted stack untouched. */
#define LUCID_TRAP_GAP 64

/* Offsets in struct lucid_frame, for assembler. */
#define LUCID_FRAME_R15 0
#define LUCID_FRAME_R14 8
#define LUCID_FRAME_R13 16
#define LUCID_FRAME_R12 24
#define LUCID_FRAME_RBP 32
#define LUCID_FRAME_RBX 40
#define LUCID_FRAME_R11 48
#define LUCID_FRAME_R10 56
#define LUCID_FRAME_R9 64
#define LUCID_FRAME_R8 72
#define LUCID_FRAME_RAX 80
#define LUCID_FRAME_RCX 88
#define LUCID_FRAME_RDX 96
#define LUCID_FRAME_RSI 104
#define LUCID_FRAME_RDI 112
#define LUCID_FRAME_ORIG 120
#define LUCID_FRAME_RIP 128
#define LUCID_FRAME_CS 136
#define LUCID_FRAME_RFLAGS 144
#define LUCID_FRAME_RSP 152
#define LUCID_FRAME_SS 160
#define LUCID_FRAME_SIZE 168

/* Offsets in struct lucid_vcpu, for assembler. */
#define LUCID_VCPU_PENDING 0
#define LUCID_VCPU_VIF 8
#define LUCID_VCPU_MODE 9
#define LUCID_VCPU_ENTRY 16
#define LUCID_VCPU_KERNEL_SP 24
#define LUCID_VCPU_KERNEL_GS 32
#define LUCID_VCPU_USER_GS 40
#define LUCID_VCPU_CR2 48
#define LUCID_VCPU_CR3 56
#define LUCID_VCPU_RET_FRAME 64
#define LUCID_VCPU_COUNT_SYSCALL 368

/* ---- Hypercalls: functions of the stub, called through the table ------------ */

/*
 * call *(LUCID_INFO_ADDR + LUCID_INFO_HYPERCALLS + 8 * nr), System V calling
 * convention, on the guest kernel's stack (1 KiB of it at most). Integer
 * registers as a C call clobbers them; x87, SSE and AVX state is kept.
 */
#define LUCID_HC_RETURN 0 /* jump, not call: rsp = struct lucid_frame */
#define LUCID_HC_SET_CR3 1 /* (u64 cr3) */
#define LUCID_HC_FLUSH 2 /* (u64 start, u64 end): user addresses of the current ASID */
#define LUCID_HC_FLUSH_KERNEL 3 /* (u64 start, u64 end) -> u64 generation */
#define LUCID_HC_PREMAP 4 /* (u64 addr, u64 write) */
#define LUCID_HC_HALT 5 /* (): until an event is pending; enables interrupts */
#define LUCID_HC_EVENTS 6 /* (): deliver what is pending, if enabled */
#define LUCID_HC_SET_TIMER 7 /* (u64 delta_ns), 0 disarms */
#define LUCID_HC_NOTIFY 8 /* (u64 device, u64 queue) */
#define LUCID_HC_MONITOR 9 /* (u64 nr, u64 a0..a4) -> s64: LUCID_MC_* */
#define LUCID_HC_PROTECT 10 /* (u64 start, u64 end, u64 LUCID_PROT_*): image window */
#define LUCID_HC_WRPROTECT 11 /* (): no user page of the current ASID stays writable */
#define LUCID_HC_SYSRET 12 /* jump, not call: as RETURN, for the end of a system call */
#define LUCID_HC_USER_SYSCALL 13 /* jumped to by user mode, instead of a system call */
#define LUCID_HC_SEND 14 /* (u64 vcpu, u64 events): LUCID_EVENT_IPI bits */
#define LUCID_HC_WAIT 15 /* (): until LUCID_HC_WAKE, or an event that can be taken */
#define LUCID_HC_WAKE 16 /* (u64 vcpu) */
#define LUCID_HC_SYNC 17 /* (u64 vcpus) -> s64: their user mode goes no further without a trap */
#define LUCID_HC_OFFLINE 18 /* (): does not return; LUCID_MC_VCPU_START starts anew */
#define LUCID_HC_STEAL 19 /* () -> u64: brings lucid_vcpu.steal up to date, its value */
#define LUCID_HC_COUNT 20
#define LUCID_HC_TABLE 32 /* room in lucid_info for more */

#define LUCID_PROT_READ 1
#define LUCID_PROT_WRITE 2
#define LUCID_PROT_EXEC 4

/* ---- Monitor calls: through LUCID_HC_MONITOR, answered by the monitor --------- */

#define LUCID_MC_SHUTDOWN 0 /* (LUCID_SHUTDOWN_*): does not return */
#define LUCID_MC_CONSOLE 1 /* (): the console ring has been read when this returns */
#define LUCID_MC_WALLCLOCK 2 /* () -> ns since 1970 (UTC) */
#define LUCID_MC_MEMORY 3 /* (bytes available, bytes in all, 1: out of memory) -> bytes to come */
#define LUCID_MC_VCPU_START 4 /* (id, rip, rsp): starts a vCPU that is offline */
#define LUCID_MC_DEV_ID 8 /* (dev) -> virtio device id, 0: none in this place */
#define LUCID_MC_DEV_FEATURES 9 /* (dev) -> feature bits offered */
#define LUCID_MC_DEV_ACCEPT 10 /* (dev, features) */
#define LUCID_MC_DEV_STATUS 11 /* (dev) -> status byte */
#define LUCID_MC_DEV_SET_STATUS 12 /* (dev, status); 0 resets the device */
#define LUCID_MC_DEV_CONFIG_READ 13 /* (dev, offset, length 1..8) -> value */
#define LUCID_MC_DEV_CONFIG_WRITE 14 /* (dev, offset, length 1..8, value) */
#define LUCID_MC_DEV_QUEUE_MAX 15 /* (dev, queue) -> greatest size, 0: no such queue */
#define LUCID_MC_DEV_QUEUE_SETUP 16 /* (dev, queue | size << 16, desc, avail, used) */
#define LUCID_MC_DEV_QUEUE_STOP 17 /* (dev, queue) */
/* 0x80 and up are the stub's own: space.h */

#define LUCID_SHUTDOWN_POWEROFF 0
#define LUCID_SHUTDOWN_REBOOT 1
#define LUCID_SHUTDOWN_PANIC 2

/* Errors of calls that return s64: Linux's numbers, negative. */
#define LUCID_E_BUSY (-16)
#define LUCID_E_NODEV (-19)
#define LUCID_E_INVAL (-22)
#define LUCID_E_NOSYS (-38)

/* ---- Events: bits of lucid_vcpu.pending --------------------------------------- */

#define LUCID_EVENT_TIMER 0
#define LUCID_EVENT_IPI(n) (1 + (n)) /* LUCID_HC_SEND; the guest's to give a meaning */
#define LUCID_IPIS 6
/* Bit 7 is the stub's: a guest that finds it set ignores it. */
#define LUCID_EVENT_DEVICE(dev) (8 + 2 * (dev)) /* a queue has used buffers */
#define LUCID_EVENT_CONFIG(dev) (9 + 2 * (dev)) /* configuration changed */
#define LUCID_DEVICES 28
#define LUCID_DEVICE_QUEUES 64

/* lucid_vcpu.mode */
#define LUCID_MODE_KERNEL 0
#define LUCID_MODE_USER 1

/* lucid_vcpu.state */
#define LUCID_STATE_OFFLINE 0
#define LUCID_STATE_ONLINE 1

/* ---- ELF note by which an image says that it is for this ABI -------------------- */

/* Owner "Lucid". The descriptor is two u64: ABI version, entry address. */
#define LUCID_NOTE_OWNER "Lucid"
#define LUCID_NOTE_TYPE 1

/* lucid_info.features */
#define LUCID_FEATURE_PKU (1 << 0) /* user mode cannot reach the kernel windows */
#define LUCID_FEATURE_CPUID (1 << 1) /* user mode's CPUID answers from lucid_info.cpuid */
#define LUCID_FEATURE_SPLIT (1 << 2) /* user mode runs in spaces that map none of the kernel */

#define LUCID_INFO_HYPERCALLS 64 /* offset of lucid_info.hypercall */
#define LUCID_CPUID_LEAVES 96
#define LUCID_CMDLINE_MAX 2048

#ifndef __ASSEMBLER__

/* Register frame of a trap, in the order of Linux's struct pt_regs. */
struct lucid_frame {
	unsigned long r15, r14, r13, r12, rbp, rbx;
	unsigned long r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	unsigned long orig; /* system call number, else -1 */
	unsigned long rip, cs, rflags, rsp, ss;
};

/*
 * The vCPU page: one a vCPU, at LUCID_VCPU_ADDR in each of its spaces, and at
 * LUCID_VCPUS_ADDR + id * LUCID_VCPU_SIZE in those of all vCPUs. The guest kernel,
 * the stub and the monitor write it; the monitor trusts none of it.
 */
struct lucid_vcpu {
	unsigned long pending; /* events; others OR bits in, the guest exchanges for 0 */
	unsigned char vif; /* 1: interrupts enabled */
	unsigned char mode; /* LUCID_MODE_* */
	unsigned char pad[2];
	unsigned int halted; /* futex word: 1 while halted */
	unsigned long entry; /* guest's trap entry */
	unsigned long kernel_sp; /* stack for traps from user mode, 16-byte aligned */
	unsigned long kernel_gs; /* GS base in kernel mode */
	unsigned long user_gs; /* GS base of user mode while in kernel mode */
	unsigned long cr2; /* address of the last page fault */
	unsigned long cr3; /* as last set */
	unsigned long ret_frame; /* frame of the LUCID_HC_RETURN under way */
	unsigned long dr6; /* cause of the last debug trap */
	unsigned int id; /* number of this vCPU */
	unsigned int state; /* LUCID_STATE_* */
	/* Monitor call under way: state is a futex word, see LUCID_CALL_*. */
	unsigned int call_state;
	unsigned int call_nr;
	unsigned long call_arg[5];
	long call_ret;
	/* Doorbells: bit q of notify[d]: queue q of device d has new buffers. */
	unsigned long notify[LUCID_DEVICES];
	/* Counters, for reading only. */
	unsigned long count_syscall, count_trap, count_event, count_fill, count_fill_pages;
	unsigned long count_premap, count_flush, count_switch, count_halt, count_evict;
	unsigned long count_retire, count_rewind, count_send, count_kick, count_wait;
	unsigned int woken; /* 1: LUCID_HC_WAKE that no LUCID_HC_WAIT has taken yet */
	unsigned int pad2;
	unsigned long kernel_gen; /* flushes of kernel addresses up to this one are done here */
	unsigned long steal; /* ns it could have run and did not; see LUCID_HC_STEAL */
};

#define LUCID_CALL_IDLE 0
#define LUCID_CALL_ASKED 1
#define LUCID_CALL_DONE 2

struct lucid_cpuid {
	unsigned int leaf, subleaf; /* subleaf ~0: any */
	unsigned int eax, ebx, ecx, edx;
};

/* The information page: read-only for the guest. */
struct lucid_info {
	unsigned long magic;
	unsigned int version;
	unsigned int features; /* LUCID_FEATURE_* */
	unsigned long ram_size; /* RAM is in [0, ram_size), now or later */
	unsigned long tsc_khz;
	unsigned int vcpus;
	unsigned int cpuid_count;
	unsigned long initrd; /* physical address, 0: none */
	unsigned long initrd_size;
	unsigned long xcr0; /* XSAVE state components that a switch keeps */
	unsigned long hypercall[LUCID_HC_TABLE];
	struct lucid_cpuid cpuid[LUCID_CPUID_LEAVES];
	char cmdline[LUCID_CMDLINE_MAX];
	unsigned long boot_size; /* [0, boot_size) is there from the start */
};

/*
 * The console: a ring that the guest writes. produced and consumed count bytes
 * from the start; the byte n is data[n % LUCID_CONSOLE_DATA]. Unless listening
 * is set, the guest overwrites what was not read.
 */
#define LUCID_CONSOLE_DATA (LUCID_CONSOLE_SIZE - 64)
struct lucid_console {
	unsigned long produced; /* written by the guest */
	unsigned long consumed; /* written by the monitor */
	unsigned int listening; /* 1: LUCID_MC_CONSOLE after each message, lose nothing */
	unsigned int pad[11];
	char data[LUCID_CONSOLE_DATA];
};

/* What user mode may read at LUCID_USER_ADDR, in every space. */
struct lucid_user {
	unsigned char selector; /* the stub's: system calls trap while it is 1 */
	unsigned char mode; /* the stub's: LUCID_MODE_* of this space */
	unsigned char pad[2];
	unsigned int cpu; /* number of the vCPU that runs here; for getcpu */
};

#define LUCID_ASSERT(type, field, offset)                                                          \
	_Static_assert(__builtin_offsetof(struct type, field) == (offset), #field " has moved")
LUCID_ASSERT(lucid_frame, rax, LUCID_FRAME_RAX);
LUCID_ASSERT(lucid_frame, rip, LUCID_FRAME_RIP);
LUCID_ASSERT(lucid_frame, ss, LUCID_FRAME_SS);
LUCID_ASSERT(lucid_vcpu, vif, LUCID_VCPU_VIF);
LUCID_ASSERT(lucid_vcpu, mode, LUCID_VCPU_MODE);
LUCID_ASSERT(lucid_vcpu, entry, LUCID_VCPU_ENTRY);
LUCID_ASSERT(lucid_vcpu, ret_frame, LUCID_VCPU_RET_FRAME);
LUCID_ASSERT(lucid_vcpu, count_syscall, LUCID_VCPU_COUNT_SYSCALL);
LUCID_ASSERT(lucid_info, hypercall, LUCID_INFO_HYPERCALLS);
_Static_assert(sizeof(struct lucid_frame) == LUCID_FRAME_SIZE, "as Linux's pt_regs");
_Static_assert(sizeof(struct lucid_vcpu) <= LUCID_VCPU_SIZE, "one page");
_Static_assert(sizeof(struct lucid_info) <= LUCID_INFO_SIZE, "as mapped");
_Static_assert(sizeof(struct lucid_console) == LUCID_CONSOLE_SIZE, "as mapped");

#endif /* __ASSEMBLER__ */
#endif /* LUCID_ABI_H */
