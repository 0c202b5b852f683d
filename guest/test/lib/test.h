/* SPDX-License-Identifier: MIT */
/*
 * What test guests share. A test is a guest kernel of one purpose: it defines
 * test_main(), says what it finds with report(), and ends in one verdict. The
 * comment on top of its main.c tells the purpose and what is expected, in words
 * that test/guest/run reads.
 */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/lucid.h"

#define info ((const struct lucid_info *)LUCID_INFO_ADDR)
#define vcpu ((volatile struct lucid_vcpu *)LUCID_VCPU_ADDR)
#define HC(nr, type) ((type)info->hypercall[nr])
#define PAGE 4096ull

/* The test itself; returns when it has succeeded. */
void test_main(void);

/* Prints a line; %s, %u, %x (64-bit) are known. */
void report(const char *fmt, ...);
/* Ends the test. */
_Noreturn void success(void);
_Noreturn void failure(const char *fmt, ...);
_Noreturn void skip(const char *why);

#define check(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			failure("%s:%u: %s", __FILE__, (uint64_t)__LINE__, #what);                 \
	} while (0)

/* The same for two numbers, with their values. */
#define check_eq(is, should)                                                                       \
	check_equal(__FILE__, __LINE__, #is, (uint64_t)(is), (uint64_t)(should))
void check_equal(const char *file, unsigned line, const char *what, uint64_t is, uint64_t should);

/* Numbers made up, the same in each run: xorshift from a state that is not 0. */
#define RANDOM_SEED 88172645463325252ull
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

/* The number after "key=" on the command line (lucid run --append). */
uint64_t cmdline_number(const char *key, uint64_t otherwise);

/* ---- Traps --------------------------------------------------------------------- */

struct trap {
	uint64_t vector, error, cr2, dr6;
	uint64_t at; /* address of its frame */
	struct lucid_frame frame;
	unsigned count;
};

/*
 * The last trap that was no event, as it came. One from user mode ends user_run();
 * kernel mode goes on at trap_resume, which serves once.
 */
extern volatile struct trap trapped;
extern volatile uint64_t trap_resume;
/* RFLAGS with which the guest's trap entry began, traps and events alike. */
extern volatile uint64_t trap_flags;
/* Called first, if set; returns true to leave through the frame as it is then. */
typedef bool trap_hook_fn(struct lucid_frame *frame, uint64_t error, uint64_t vector);
extern trap_hook_fn *volatile trap_hook;
/* Counts of events seen, by bit. */
extern volatile uint64_t events_seen[64];

/* Does the last trap, the first since "seen" were counted, look like that? */
void check_trap(const char *file, unsigned line, const char *what, unsigned seen, uint64_t vector,
	uint64_t error);

/* One instruction of the kernel's that has to trap; operands as of asm. The next is trap_next. */
extern volatile uint64_t trap_next;
#define traps(vec, err, insn, ...)                                                                 \
	do {                                                                                       \
		unsigned trap_seen = trapped.count;                                                \
                                                                                                   \
		__asm__ volatile(                                                                  \
			"movq $1f, trap_resume(%%rip)\n\tmovq $1f, trap_next(%%rip)\n\t" insn      \
			"\n1:" __VA_ARGS__);                                                       \
		check_trap(__FILE__, __LINE__, insn, trap_seen, vec, err);                         \
		trap_resume = 0;                                                                   \
	} while (0)

/* Leaves through a frame. */
_Noreturn void test_return(const struct lucid_frame *frame);

void irq_enable(void);
static inline void irq_disable(void)
{
	vcpu->vif = 0;
}

uint64_t now_ns(void);
void spin_ns(uint64_t ns);
/* Waits without taking it; false after ns. */
bool wait_pending(unsigned event, uint64_t ns);

/* ---- Memory ---------------------------------------------------------------------- */

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_NX (1ull << 63)
#define PTE_USER (PTE_P | PTE_W | PTE_U)

#define PF_P 1ull
#define PF_W 2ull
#define PF_U 4ull
#define PF_I 16ull

void memory_init(void);
/* Physical memory behind the image, zeroed, a page at a time. */
uint64_t page_alloc(void);
/* n contiguous pages. */
uint64_t pages_alloc(unsigned n);
/* Makes the next allocation start at a multiple of size; returns where. */
uint64_t memory_align(uint64_t size);
uint64_t memory_left(void);
static inline void *direct(uint64_t pa)
{
	return (void *)(LUCID_DIRECT_BASE + pa);
}

/* A new set of page tables (its CR3). */
uint64_t space_new(void);
/* Sets the 4 KiB entry for va, making tables on the way; returns where the entry is. */
volatile uint64_t *map_page(uint64_t cr3, uint64_t va, uint64_t pa, uint64_t bits);
volatile uint64_t *pte_of(uint64_t cr3, uint64_t va);
/* The entry for va in the table whose entries cover 1 << shift bytes; NULL if there is none. */
volatile uint64_t *entry_at(uint64_t cr3, uint64_t va, unsigned shift, bool make);

static inline uint64_t peek(uint64_t va)
{
	return *(volatile uint64_t *)va;
}

static inline void poke(uint64_t va, uint64_t value)
{
	*(volatile uint64_t *)va = value;
}

/* ---- User mode --------------------------------------------------------------------- */

#define USER_CODE 0x400000ull
#define USER_STACK 0x800000ull

/* Position-independent code as bytes: name to name_end. */
#define BLOB(name, text)                                                                           \
	extern const char name[], name##_end[];                                                    \
	__asm__(".pushsection .rodata\n" #name ":\n" text "\n" #name "_end:\n.popsection")
#define BLOB_SIZE(name) ((size_t)(name##_end - name))

/*
 * A system call by LUCID_HC_USER_SYSCALL, whose address is in reg: what a guest kernel would
 * patch in, KEYS or nothing at its start. A signal makes it the instruction.
 */
#define JUMP_CALL(keys, nr, reg)                                                                   \
	"mov %rdx, %r11\n" keys "mov $" #nr ", %eax\nlea 7f(%rip), %rcx\njmp *%" #reg "\n"         \
	"syscall\n7:\n"
#define JUMP_KEYS "mov $0, %eax\nmov $0, %ecx\nmov $0, %edx\nwrpkru\n"

/* Maps a page for code at USER_CODE and one below USER_STACK. */
void user_map(uint64_t cr3);
/* Replaces the code of the last user_map(). */
void user_code(const void *code, size_t size);
/* A new address space with both, as the CR3 of asid. */
uint64_t user_space(const void *code, size_t size, unsigned asid);
/*
 * For test_return(): user mode's frame with regs (rip 0: USER_CODE, rsp 0: USER_STACK - 64),
 * where a trap from user mode will have its own.
 */
struct lucid_frame *user_frame(const struct lucid_frame *regs);
/*
 * Enters user mode with the user_frame() of regs until its first trap that is not an event and
 * that trap_hook does not take; fills trapped.
 */
void user_run(const struct lucid_frame *regs);
/* The same with new code and no registers to speak of. */
void user_try(const void *code, size_t size);
#define user_blob(name) user_try(name, BLOB_SIZE(name))
/* After a system call: fails unless the registers that it keeps are as they were. */
void user_check_call(const struct lucid_frame *is, const struct lucid_frame *was);
/* For the trap handler: back to the caller of user_run(). */
_Noreturn void user_ended(void);

/* ---- Other vCPUs ------------------------------------------------------------------- */

#define CPUS 8 /* that cpu_start() has stacks for */
#define vcpu_of(id) ((volatile struct lucid_vcpu *)(LUCID_VCPUS_ADDR + (id)*LUCID_VCPU_SIZE))

/*
 * Starts a vCPU, 1 to CPUS - 1, in fn with interrupts off; it goes offline when fn returns.
 * The result is the monitor's. One that is on its way offline is waited for.
 */
long cpu_start(unsigned id, void (*fn)(void));
/* Waits until it is offline; false after ns. */
bool cpu_wait(unsigned id, uint64_t ns);
/* Events that vCPUs but the first have taken, by bit. */
extern volatile uint64_t cpu_events[CPUS][64];
/*
 * Called first for their traps, if set; returns true to leave through the frame as it is
 * then. False is good for events alone.
 */
extern trap_hook_fn *volatile cpu_hook;
/* The library's own. */
void cpu_trap(struct lucid_frame *frame, uint64_t error, uint64_t vector);

/* Waits until *word is value, or a failure of this name after ten seconds. */
void await_word(const char *what, volatile uint64_t *word, uint64_t value);

/* ---- Hypercalls ---------------------------------------------------------------------- */

static inline void hc_set_cr3(uint64_t cr3)
{
	HC(LUCID_HC_SET_CR3, void (*)(uint64_t))(cr3);
}

static inline void hc_flush(uint64_t start, uint64_t end)
{
	HC(LUCID_HC_FLUSH, void (*)(uint64_t, uint64_t))(start, end);
}

static inline uint64_t hc_flush_kernel(uint64_t start, uint64_t end)
{
	return HC(LUCID_HC_FLUSH_KERNEL, uint64_t(*)(uint64_t, uint64_t))(start, end);
}

static inline uint64_t hc_premap(uint64_t addr, uint64_t write)
{
	return HC(LUCID_HC_PREMAP, uint64_t(*)(uint64_t, uint64_t))(addr, write);
}

static inline void hc_halt(void)
{
	HC(LUCID_HC_HALT, void (*)(void))();
}

static inline void hc_events(void)
{
	HC(LUCID_HC_EVENTS, void (*)(void))();
}

static inline void hc_set_timer(uint64_t ns)
{
	HC(LUCID_HC_SET_TIMER, void (*)(uint64_t))(ns);
}

static inline void hc_notify(uint64_t device, uint64_t queue)
{
	HC(LUCID_HC_NOTIFY, void (*)(uint64_t, uint64_t))(device, queue);
}

static inline void hc_protect(uint64_t start, uint64_t end, uint64_t prot)
{
	HC(LUCID_HC_PROTECT, void (*)(uint64_t, uint64_t, uint64_t))(start, end, prot);
}

static inline void hc_wrprotect(void)
{
	HC(LUCID_HC_WRPROTECT, void (*)(void))();
}

static inline void hc_send(uint64_t id, uint64_t events)
{
	HC(LUCID_HC_SEND, void (*)(uint64_t, uint64_t))(id, events);
}

static inline void hc_wait(void)
{
	HC(LUCID_HC_WAIT, void (*)(void))();
}

static inline void hc_wake(uint64_t id)
{
	HC(LUCID_HC_WAKE, void (*)(uint64_t))(id);
}

static inline long hc_sync(uint64_t vcpus)
{
	return HC(LUCID_HC_SYNC, long (*)(uint64_t))(vcpus);
}

static inline void hc_offline(void)
{
	HC(LUCID_HC_OFFLINE, void (*)(void))();
}

/* "Looking for work" of docs/abi.md for a while, with interrupts off: whether there is any. */
static inline bool look_for_work(uint64_t ns)
{
	uint64_t end = now_ns() + ns;

	__atomic_exchange_n(&vcpu->halted, 1, __ATOMIC_SEQ_CST);
	while (!vcpu->pending && vcpu->halted && now_ns() < end)
		__builtin_ia32_pause();
	__atomic_exchange_n(&vcpu->halted, 0, __ATOMIC_SEQ_CST);
	hc_flush_kernel(0, 0);
	return vcpu->pending;
}

static inline uint64_t hc_steal(void)
{
	return HC(LUCID_HC_STEAL, uint64_t(*)(void))();
}

static inline long hc_monitor(
	uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
	return HC(LUCID_HC_MONITOR, long (*)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
					    uint64_t))(nr, a0, a1, a2, a3, a4);
}

#endif
