/* SPDX-License-Identifier: MIT */
/*
 * Purpose: page faults of user mode: error code and address for each way to be refused.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT 0x10002000ull
#define OTHER 0x8010002000ull /* under another top-level entry */

BLOB(read, "mov (%rdi), %rax\nud2");
BLOB(write, "mov %rax, (%rdi)\nud2");
BLOB(execute, "jmp *%rdi");

struct one {
	const char *name;
	uint64_t pte; /* bits of the page's own entry */
	uint64_t clear, set; /* of the entry one level up */
	uint64_t error; /* PF_*, of the access that it tells */
};

static const struct one list[] = {
	{"nothing there, read", 0, 0, 0, PF_U},
	{"nothing there, write", 0, 0, 0, PF_U | PF_W},
	{"nothing there, execute", 0, 0, 0, PF_U | PF_I},
	{"read-only, write", PTE_P | PTE_U, 0, 0, PF_U | PF_W | PF_P},
	{"supervisor, read", PTE_P | PTE_W, 0, 0, PF_U | PF_P},
	{"supervisor, write", PTE_P | PTE_W, 0, 0, PF_U | PF_W | PF_P},
	{"supervisor, execute", PTE_P | PTE_W, 0, 0, PF_U | PF_I | PF_P},
	{"no execute, execute", PTE_USER | PTE_NX, 0, 0, PF_U | PF_I | PF_P},
	{"upper read-only, write", PTE_USER, PTE_W, 0, PF_U | PF_W | PF_P},
	{"upper supervisor, read", PTE_USER, PTE_U, 0, PF_U | PF_P},
	{"upper no execute, execute", PTE_USER, 0, PTE_NX, PF_U | PF_I | PF_P},
	{"upper absent, read", PTE_USER, PTE_P, 0, PF_U},
	{"upper absent, write", PTE_USER, PTE_P, 0, PF_U | PF_W},
};

static uint64_t cr3, page;

static void access(uint64_t va, uint64_t error)
{
	const struct lucid_frame regs = {.rdi = va};

	if (error & PF_W)
		user_code(write, BLOB_SIZE(write));
	else if (error & PF_I)
		user_code(execute, BLOB_SIZE(execute));
	else
		user_code(read, BLOB_SIZE(read));
	user_run(&regs);
}

static void refused(const struct one *o, uint64_t va)
{
	volatile uint64_t *upper = entry_at(cr3, va, 21, true);
	unsigned seen = trapped.count;
	uint64_t was;

	map_page(cr3, va, page, o->pte);
	was = *upper;
	*upper = (was & ~o->clear) | o->set;
	hc_flush(va, va + PAGE);
	access(va + 8, o->error);
	check_trap(__FILE__, __LINE__, o->name, seen, LUCID_VEC_PF, o->error);
	check_eq(trapped.cr2, va + 8);
	check_eq(trapped.frame.rip, o->error & PF_I ? va + 8 : USER_CODE);
	*upper = was;
}

/* A page that user mode has in use already, read-only. */
static void write_after_read(void)
{
	unsigned seen;

	map_page(cr3, AT, page, PTE_P | PTE_U);
	hc_flush(AT, AT + PAGE);
	access(AT, 0);
	check_eq(trapped.vector, LUCID_VEC_UD);
	seen = trapped.count;
	access(AT, PF_W);
	check_trap(__FILE__, __LINE__, "write after read", seen, LUCID_VEC_PF, PF_U | PF_W | PF_P);
}

static void out_of_reach(uint64_t va)
{
	access(va, 0);
	if (trapped.vector != LUCID_VEC_PF || trapped.cr2 != va || !(trapped.error & PF_U))
		failure("access to %x: vector %u error %x cr2 %x", va, trapped.vector,
			trapped.error, trapped.cr2);
}

void test_main(void)
{
	unsigned i;

	cr3 = user_space(read, BLOB_SIZE(read), 0);
	page = page_alloc();
	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		refused(&list[i], AT);
		refused(&list[i], OTHER);
	}
	write_after_read();
	/* Nobody's, and the half that no host process has. */
	out_of_reach(0);
	out_of_reach(LUCID_USER_END - 8);
	out_of_reach(0xffff800000000000);
	out_of_reach(0xfffffffffffffff8);
	/* The kernel's, which the tables grant to supervisors alone. */
	map_page(cr3, LUCID_KERNEL_BASE, page, PTE_P | PTE_W);
	out_of_reach(LUCID_KERNEL_BASE);
	check_eq(trapped.error, PF_U | PF_P);
}
