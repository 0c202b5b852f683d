/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a program in a space of its own reaches nothing of the kernel, whatever it does: it
 * jumps to each byte of the twin's text with random registers, makes every host system call from
 * there, forges the signal frames that tell the kernel what it did, puts its stack on them, and
 * reaches for all that the kernel has. It alone has the trouble.
 * Expected: success.
 * Options: --isolation split
 * Variants: what=0..4
 */
#include "guest/test/lib/test.h"
#include "abi/space.h"

#define AT 0x10000000ull
#define CANARY 0x600dc0de600dc0deull
#define STACK_TOP (STUB_TWIN_STACK_ADDR + STUB_TWIN_STACK_SIZE)
#define UC_REGS 40 /* offset of the registers in a ucontext */
#define GREG(n) (UC_REGS + 8 * (n))
#define FORGED (STACK_TOP - 0x4000)

BLOB(sane, "mov (%rdi), %rax\nud2");
BLOB(call, "syscall\nud2");
BLOB(load, "mov (%rdi), %rax\nud2");
BLOB(store, "mov %rdi, (%rdi)\nud2");
BLOB(go, "jmp *%rdi");
BLOB(trap, "int3");
/* Copies the frame to the signal stack and makes the call of the twin's handler. */
BLOB(forge, "rep movsb\nmov %r12, %rdi\nmov %r13, %rsi\nmov %r14, %rdx\n"
	    "mov $110, %eax\njmp *%r15");

static volatile uint64_t canary = CANARY;
static uint64_t page, seed = RANDOM_SEED;
static unsigned ended[512];

static uint64_t random(void)
{
	return random_next(&seed);
}

/* A value that may mean something to whoever is taken in by it. */
static uint64_t mischief(void)
{
	static const uint64_t values[] = {0, 1, 2, ~0ull, AT, USER_STACK - 64, USER_CODE,
		STUB_TWIN_ADDR, STUB_TWIN_STACK_ADDR, STACK_TOP - 0x1000, STACK_TOP, STACK_TOP - 8,
		STUB_TWIN_TEXT_ADDR, LUCID_DIRECT_BASE, LUCID_VCPU_ADDR,
		LUCID_IMAGE_BASE + 0x1000000, STUB_TEXT_ADDR, STUB_PRIVATE_ADDR, STUB_SIGSTACK_ADDR,
		LUCID_KERNEL_BASE, 0x8000000000000000ull, 0xffffffffff600400ull,
		LUCID_USER_END - 8};
	uint64_t r = random();

	if (r % 4 == 0)
		return random();
	if (r % 4 == 1)
		return r >> 32 & 0xff;
	return values[(r >> 8) % (sizeof(values) / sizeof(values[0]))];
}

static void random_registers(struct lucid_frame *f)
{
	uint64_t *word = (uint64_t *)f;
	unsigned i;

	for (i = 0; i < LUCID_FRAME_ORIG / 8; i++)
		word[i] = mischief();
	f->rsp = mischief();
	/* All flags that it can have: TF makes it stop everywhere in the text. */
	f->rflags = random() & 0x254dd5;
}

/* It found something to loop in. */
static bool serve(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)error;
	if (vector == LUCID_VEC_EVENT && (frame->cs & 3)) {
		trapped.vector = vector;
		user_ended();
	}
	return false;
}

static void ran(void)
{
	__atomic_store_n(&vcpu->pending, 0, __ATOMIC_SEQ_CST);
	ended[trapped.vector & 511]++;
	check_eq(canary, CANARY);
	check_eq(vcpu->mode, LUCID_MODE_KERNEL);
}

static void run(const struct lucid_frame *regs)
{
	hc_set_timer(3000000);
	user_run(regs);
	hc_set_timer(0);
	ran();
}

/* One that cannot loop. A timer that was due just before it was stopped may interrupt it still. */
static void run_to_end(const struct lucid_frame *regs)
{
	do {
		user_run(regs);
		ran();
	} while (trapped.vector == LUCID_VEC_EVENT);
}

/* The next program has a whole machine. */
static void others(void)
{
	const struct lucid_frame regs = {.rdi = AT, .rbx = 7};

	user_code(sane, BLOB_SIZE(sane));
	run_to_end(&regs);
	check_eq(trapped.vector, LUCID_VEC_UD);
	check_eq(trapped.frame.rax, 1);
	check_eq(trapped.frame.rbx, 7);
	check_eq(peek(AT), 1);
}

static void jumps(void)
{
	struct lucid_frame regs;
	unsigned at, round;

	for (at = 0; at < 0x200; at++) {
		for (round = 0; round < 6; round++) {
			random_registers(&regs);
			regs.rip = STUB_TWIN_TEXT_ADDR + at;
			*(volatile uint64_t *)direct(page) = 1;
			run(&regs);
		}
		*(volatile uint64_t *)direct(page) = 1;
		if (at % 16 == 0)
			others();
	}
}

static void calls(void)
{
	const unsigned char *text = (const unsigned char *)STUB_TWIN_TEXT_ADDR;
	struct lucid_frame regs;
	unsigned at, nr;

	for (at = 0; at < 0x200; at++) {
		if (text[at] != 0x0f || text[at + 1] != 0x05)
			continue;
		for (nr = 0; nr < 470; nr++) {
			random_registers(&regs);
			regs.rax = nr;
			regs.rip = STUB_TWIN_TEXT_ADDR + at;
			run(&regs);
			*(volatile uint64_t *)direct(page) = 1;
		}
		others();
	}
	/* Elsewhere it is the guest's kernel that is called. */
	user_code(call, BLOB_SIZE(call));
	for (nr = 0; nr < 470; nr++) {
		regs = (struct lucid_frame){.rax = nr, .rip = USER_CODE};
		run_to_end(&regs);
		check_eq(trapped.vector, LUCID_VEC_SYSCALL);
		check_eq(trapped.frame.orig, nr);
	}
}

/* The call of the handler, in the twin's text. */
static uint64_t yield(void)
{
	const unsigned char *at = (const unsigned char *)STUB_TWIN_TEXT_ADDR;

	while (at[0] != 0x0f || at[1] != 0x05)
		at++;
	return (uint64_t)at;
}

/* A frame of nonsense at AT; what is in it points to the places where it will lie. */
static void write_frame(void)
{
	volatile uint64_t *word = direct(page);
	unsigned i;

	for (i = 0; i < PAGE / 8; i++)
		word[i] = random() % 3 ? mischief() : random();
	/* Half of them with a place for the FPU's state that is looked at. */
	if (random() % 2)
		word[(GREG(23)) / 8] = FORGED + 0x400 + random() % 64;
	/* Often in the twin's own text. */
	if (random() % 2)
		word[GREG(16) / 8] = STUB_TWIN_TEXT_ADDR + random() % 0x100;
}

static void forged(void)
{
	static const unsigned signals[] = {0, 4, 5, 7, 8, 10, 11, 12, 31, 64};
	unsigned i;

	for (i = 0; i < 4000; i++) {
		struct lucid_frame regs;

		user_code(forge, BLOB_SIZE(forge));
		random_registers(&regs);
		write_frame();
		regs.rsi = AT;
		regs.rdi = FORGED;
		regs.rcx = PAGE;
		regs.rflags &= ~0x500ull; /* neither TF nor DF: it would not get far */
		regs.rsp = USER_STACK - 64;
		regs.r12 = random() % 8 ? signals[random() % 10] : mischief();
		regs.r13 = random() % 4 ? FORGED + random() % PAGE : mischief();
		regs.r14 = random() % 8 ? FORGED : mischief();
		regs.r15 = yield();
		regs.rip = USER_CODE;
		run(&regs);
		*(volatile uint64_t *)direct(page) = 1;
		if (i % 64 == 0)
			others();
	}
}

static void stacks(void)
{
	struct lucid_frame regs;
	uint64_t rsp;

	for (rsp = STUB_TWIN_ADDR - 64;
		rsp<STACK_TOP + 128; rsp += rsp> STACK_TOP - 0x2000 ? 56 : 1000) {
		user_code(trap, BLOB_SIZE(trap));
		random_registers(&regs);
		regs.rsp = rsp;
		regs.rip = USER_CODE;
		regs.rflags = 0;
		run_to_end(&regs);
		check(trapped.vector == LUCID_VEC_BP || trapped.vector == LUCID_VEC_GP);
	}
	others();
}

/* What the kernel has in its space is not there in a program's. */
static void reach(void)
{
	static const uint64_t places[] = {LUCID_DIRECT_BASE, LUCID_DIRECT_BASE + 0x1000000,
		LUCID_IMAGE_BASE + 0x1000000, LUCID_INFO_ADDR, LUCID_VCPU_ADDR, LUCID_CONSOLE_ADDR,
		LUCID_KERNEL_BASE, STUB_TEXT_ADDR, STUB_STACK_ADDR, STUB_SIGSTACK_ADDR,
		STUB_SHARED_ADDR, STUB_MACHINE_ADDR, LUCID_VCPUS_ADDR, STUB_PRIVATE_ADDR + PAGE,
		STUB_TWIN_ADDR - PAGE, STUB_TWIN_TEXT_ADDR - PAGE, STACK_TOP};
	static const uint64_t readable[] = {STUB_PRIVATE_ADDR, STUB_TWIN_ADDR,
		STUB_TWIN_ADDR + STUB_TWIN_SIZE - 8, STUB_TWIN_TEXT_ADDR};
	struct lucid_frame regs = {0};
	unsigned i;

	map_page(vcpu->cr3 & ~0xfffull, LUCID_KERNEL_BASE, page, PTE_P | PTE_W);
	check_eq(peek(LUCID_KERNEL_BASE), 1);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		regs.rdi = places[i];
		user_code(load, BLOB_SIZE(load));
		run(&regs);
		check_eq(trapped.vector, LUCID_VEC_PF);
		check_eq(trapped.cr2, places[i]);
		user_code(store, BLOB_SIZE(store));
		run(&regs);
		check_eq(trapped.vector, LUCID_VEC_PF);
		user_code(go, BLOB_SIZE(go));
		run(&regs);
		check_eq(trapped.vector, LUCID_VEC_PF);
		check_eq(trapped.frame.rip, places[i]);
	}
	for (i = 0; i < sizeof(readable) / sizeof(readable[0]); i++) {
		regs.rdi = readable[i];
		user_code(load, BLOB_SIZE(load));
		run(&regs);
		check_eq(trapped.vector, LUCID_VEC_UD);
		user_code(store, BLOB_SIZE(store));
		run(&regs);
		check_eq(trapped.vector, LUCID_VEC_PF);
	}
	check_eq(((const struct lucid_user *)LUCID_USER_ADDR)->cpu, 0);
	others();
}

void test_main(void)
{
	static void (*const what[])(void) = {jumps, calls, forged, stacks, reach};
	uint64_t cr3;
	unsigned i;

	check(info->features & LUCID_FEATURE_SPLIT);
	page = page_alloc();
	cr3 = user_space(sane, BLOB_SIZE(sane), 0);
	map_page(cr3, AT, page, PTE_USER);
	*(volatile uint64_t *)direct(page) = 1;
	trap_hook = serve;
	others();
	what[cmdline_number("what", 0) % 5]();
	others();
	for (i = 0; i < 512; i++)
		if (ended[i])
			report("vector %u: %u", (uint64_t)i, (uint64_t)ended[i]);
}
