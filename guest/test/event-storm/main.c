/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a fast timer against tight loops over every way into and out of the guest: no event is
 * lost, no register changes. --append "seconds=60" makes it a soak test; "period=" is in ns,
 * "stage=" runs one loop alone.
 * Expected: success.
 */
#include "guest/test/lib/fpu.h"

#define AT 0x10000000ull
#define OTHER 0x10001000ull
#define SECOND 1000000000ull
#define LOST (10 * SECOND)

/*
 * User mode's registers hold their numbers. rbx counts rounds; int3 tells that one
 * was wrong, ud2 that all went well.
 */
#define CHECK(reg, value) "cmp $" #value ", %" #reg "\njne 9f\n"
#define CHECKS                                                                                     \
	CHECK(rdx, 0x102)                                                                          \
	CHECK(rsi, 0x104)                                                                          \
	CHECK(r8, 0x108)                                                                           \
	CHECK(r9, 0x109)                                                                           \
	CHECK(r10, 0x10a)                                                                          \
	CHECK(r12, 0x10c)                                                                          \
	CHECK(r13, 0x10d)                                                                          \
	CHECK(r14, 0x10e)                                                                          \
	CHECK(r15, 0x10f)                                                                          \
	CHECK(rbp, 0x105)
#define ROUNDS(name, what) BLOB(name, "1:\n" what "\n" CHECKS "dec %rbx\njnz 1b\nud2\n9: int3")

ROUNDS(call, "mov $7, %eax\nstd\nsyscall\npushfq\npop %r11\nbt $10, %r11\njnc 9f\ncld\n"
	     "cmp $7, %rax\njne 9f");
#define JUMPED(keys)                                                                               \
	"std\n" JUMP_CALL(keys, 7, rdi) "pushfq\npop %r11\nbt $10, %r11\njnc 9f\ncld\n"            \
					"cmp $7, %rax\njne 9f"
ROUNDS(jump, JUMPED(""));
ROUNDS(jump_keys, JUMPED(JUMP_KEYS));
ROUNDS(touch, "mov $8, %eax\nsyscall\nmov (%rdi), %rax\ncmp $0x55, %rax\njne 9f\n");
ROUNDS(elsewhere, "mov $9, %eax\nsyscall\nmov (%rdi), %rax\ncmp $0x55, %rax\njne 9f\n"
		  "mov $3000, %ecx\n2: dec %ecx\njnz 2b");
ROUNDS(fault, "mov $3, %eax\nmov $5, %ecx\nmov $6, %r11d\nud2\ncmp $3, %rax\njne 9f\n"
	      "cmp $5, %rcx\njne 9f\ncmp $6, %r11\njne 9f\n");
ROUNDS(compute, "mov $1000, %ecx\n2: lea 1(%rax), %r11\ninc %rax\ncmp %rax, %r11\njne 9f\n"
		"dec %ecx\njnz 2b");

static unsigned asid;
static uint64_t cr3, other, period, state = 88172645463325252;
static volatile uint64_t seen, last;
static const char *stage;
static struct fpu want, got;

static void arm(void)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	hc_set_timer(1000 + (state >> 33) % (2 * period));
}

static bool serve(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)error;
	if (vector == LUCID_VEC_EVENT) {
		seen++;
		last = now_ns();
		arm();
		return true;
	}
	if (!(frame->cs & 3))
		return false;
	if (vector == LUCID_VEC_SYSCALL) {
		if (frame->orig == 8)
			hc_flush(AT, AT + PAGE);
		if (frame->orig == 9) { /* from one space to another, and into user mode there */
			asid = (asid + 1) % 3;
			hc_set_cr3(cr3 | asid | LUCID_CR3_NOFLUSH);
		}
		return true;
	}
	if (vector == LUCID_VEC_UD && frame->rbx) {
		frame->rip += 2; /* of fault, or the end of a loop with rbx 0 */
		return true;
	}
	return false;
}

static void alive(void)
{
	uint64_t since = last; /* before the clock: an event may come between */

	if (now_ns() - since > LOST)
		failure("%s: no event any more after %u (pending %x)", stage, seen, vcpu->pending);
}

static void user_loop(const void *code, size_t size, uint64_t rdi)
{
	const struct lucid_frame regs = {
		.rdx = 0x102,
		.rsi = 0x104,
		.rdi = rdi,
		.r8 = 0x108,
		.r9 = 0x109,
		.r10 = 0x10a,
		.r12 = 0x10c,
		.r13 = 0x10d,
		.r14 = 0x10e,
		.r15 = 0x10f,
		.rbp = 0x105,
		.rbx = 300,
	};

	user_code(code, size);
	user_run(&regs);
	if (trapped.vector != LUCID_VEC_UD)
		failure("%s: registers changed (vector %u, rbx %u)", stage, trapped.vector,
			trapped.frame.rbx);
}

static void user_calls(void)
{
	user_loop(call, BLOB_SIZE(call), AT);
}

/* The program's own way in. */
static void user_jumps(void)
{
	uint64_t to = info->hypercall[LUCID_HC_USER_SYSCALL];

	if (info->features & LUCID_FEATURE_PKU)
		user_loop(jump_keys, BLOB_SIZE(jump_keys), to);
	else
		user_loop(jump, BLOB_SIZE(jump), to);
}

static void user_fills(void)
{
	user_loop(touch, BLOB_SIZE(touch), AT);
}

static void user_switches(void)
{
	user_loop(elsewhere, BLOB_SIZE(elsewhere), AT);
	hc_set_cr3(cr3);
}

static void user_faults(void)
{
	user_loop(fault, BLOB_SIZE(fault), AT);
}

static void user_computes(void)
{
	user_loop(compute, BLOB_SIZE(compute), AT);
}

/* ---- Kernel mode ------------------------------------------------------------ */

/*
 * Runs one instruction or call 300 times with patterns in all registers that it
 * keeps; 0 if they are as they were.
 */
#define KEPT(name, what, clobbered_checks)                                                         \
	uint64_t name(uint64_t target);                                                            \
	__asm__(".pushsection .text\n" #name ":\n"                                                 \
		"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"               \
		"sub $8, %rsp\nmov %rdi, (%rsp)\n"                                                 \
		"mov $300, %ebx\nmov $0x105, %ebp\nmov $0x10c, %r12d\nmov $0x10d, %r13d\n"         \
		"mov $0x10e, %r14d\nmov $0x10f, %r15d\n1:\n" what "\n" clobbered_checks            \
		"cmp $0x105, %rbp\njne 9f\ncmp $0x10c, %r12\njne 9f\ncmp $0x10d, %r13\njne 9f\n"   \
		"cmp $0x10e, %r14\njne 9f\ncmp $0x10f, %r15\njne 9f\n"                             \
		"dec %rbx\njnz 1b\n9: mov %rbx, %rax\n"                                            \
		"add $8, %rsp\npop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\n"       \
		"ret\n.popsection")

#define SCRATCH                                                                                    \
	"mov $0x101, %eax\nmov $0x103, %ecx\nmov $0x102, %edx\nmov $0x104, %esi\n"                 \
	"mov $0x106, %edi\nmov $0x108, %r8d\nmov $0x109, %r9d\nmov $0x10a, %r10d\n"                \
	"mov $0x10b, %r11d\n"
#define SCRATCH_CHECKS                                                                             \
	"cmp $0x101, %rax\njne 9f\ncmp $0x103, %rcx\njne 9f\ncmp $0x102, %rdx\njne 9f\n"           \
	"cmp $0x104, %rsi\njne 9f\ncmp $0x106, %rdi\njne 9f\ncmp $0x108, %r8\njne 9f\n"            \
	"cmp $0x109, %r9\njne 9f\ncmp $0x10a, %r10\njne 9f\ncmp $0x10b, %r11\njne 9f\n"

KEPT(loop_trap, SCRATCH "movq $2f, trap_resume(%rip)\nint3\n2:", SCRATCH_CHECKS);
KEPT(loop_compute, SCRATCH "nop\nnop\npause", SCRATCH_CHECKS);
KEPT(loop_events, "mov (%rsp), %rax\ncall *%rax", "");
KEPT(loop_premap, "mov $0x10000000, %edi\nxor %esi, %esi\nmov (%rsp), %rax\ncall *%rax", "");
KEPT(loop_notify, "mov $27, %edi\nmov $64, %esi\nmov (%rsp), %rax\ncall *%rax", "");
KEPT(loop_fill,
	"mov $0x10000000, %edi\nmov $0x10001000, %esi\nmov (%rsp), %rax\ncall *%rax\n" SCRATCH
	"mov $0x10000000, %edi\ncmpq $0x55, (%rdi)\njne 9f\nmov $0x106, %edi\n",
	SCRATCH_CHECKS);

static void kept(uint64_t left)
{
	if (left)
		failure("%s: registers changed, %u rounds left", stage, left);
}

static void kernel_traps(void)
{
	kept(loop_trap(0));
}

static void kernel_computes(void)
{
	kept(loop_compute(0));
}

static void tails(void)
{
	kept(loop_events(info->hypercall[LUCID_HC_EVENTS]));
	kept(loop_premap(info->hypercall[LUCID_HC_PREMAP]));
	kept(loop_notify(info->hypercall[LUCID_HC_NOTIFY]));
}

static void kernel_fills(void)
{
	kept(loop_fill(info->hypercall[LUCID_HC_FLUSH]));
}

static void switches(void)
{
	unsigned i;

	for (i = 0; i < 50; i++) {
		hc_set_cr3(other | 1 | (i & 1 ? LUCID_CR3_NOFLUSH : 0));
		check_eq(peek(OTHER), 0x66);
		hc_set_cr3(cr3 | (i & 2 ? LUCID_CR3_NOFLUSH : 0));
		check_eq(peek(AT), 0x55);
	}
}

static void enables(void)
{
	unsigned i;

	for (i = 0; i < 1000; i++) {
		irq_disable();
		__asm__ volatile("nop" ::: "memory");
		check(!vcpu->vif);
		irq_enable();
		check(vcpu->vif);
	}
}

static void halts(void)
{
	unsigned i;

	for (i = 0; i < 20; i++)
		hc_halt();
}

static void calls(void)
{
	unsigned i;

	for (i = 0; i < 20; i++)
		check(hc_monitor(LUCID_MC_WALLCLOCK, 0, 0, 0, 0, 0) > 0);
}

/* ---- All of them ---------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(void);
} list[] = {
	{"user: system calls", user_calls},
	{"user: jumped system calls", user_jumps},
	{"user: fills", user_fills},
	{"user: exceptions", user_faults},
	{"user: switches", user_switches},
	{"user: computing", user_computes},
	{"kernel: traps", kernel_traps},
	{"kernel: computing", kernel_computes},
	{"kernel: fills", kernel_fills},
	{"tails of hypercalls", tails},
	{"switches", switches},
	{"enabling and disabling", enables},
	{"halting", halts},
	{"monitor calls", calls},
};

static void storm(unsigned which, uint64_t ns)
{
	uint64_t end = now_ns() + ns, before = seen, rewinds = vcpu->count_rewind, rounds = 0;

	stage = list[which].name;
	fpu_pattern(&want, which);
	fpu_load(&want);
	irq_enable();
	do {
		list[which].run();
		irq_enable();
		alive();
		rounds++;
	} while (now_ns() < end);
	fpu_save(&got);
	fpu_compare(&got, &want, stage);
	report("%s: %u events in %u rounds, %u rewinds", stage, seen - before, rounds,
		vcpu->count_rewind - rewinds);
	if (seen == before)
		failure("%s: no events", stage);
}

static void map(uint64_t table, uint64_t va, uint64_t value)
{
	uint64_t page = page_alloc();

	*(volatile uint64_t *)direct(page) = value;
	map_page(table, va, page, PTE_USER);
}

void test_main(void)
{
	uint64_t ns = cmdline_number("seconds", 4) * SECOND, only = cmdline_number("stage", ~0ull);
	unsigned i, n = sizeof(list) / sizeof(list[0]);

	period = cmdline_number("period", 30000);
	cr3 = user_space(call, BLOB_SIZE(call), 0);
	other = space_new();
	map(cr3, AT, 0x55);
	map(other, OTHER, 0x66);
	trap_hook = serve;
	last = now_ns();
	arm();
	if (only < n)
		storm((unsigned)only, ns);
	else
		for (i = 0; i < n; i++)
			storm(i, ns / n);
	report("%u events, %u rewinds", seen, vcpu->count_rewind);
	check(vcpu->count_rewind > 0);
}
