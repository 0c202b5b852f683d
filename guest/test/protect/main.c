/* SPDX-License-Identifier: MIT */
/*
 * Purpose: the kernel seals parts of its image, in the space it runs in and in those to come.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

static unsigned char data[2 * PAGE] __attribute__((aligned(4096)));
static unsigned char code[PAGE] __attribute__((aligned(4096))) = {0xc3};

static void store(void)
{
	traps(LUCID_VEC_PF, PF_W, "movb $1, (%0)", ::"r"(data));
	check_eq(trapped.cr2, data);
	((volatile unsigned char *)data)[PAGE] = 1;
}

void test_main(void)
{
	uint64_t a = space_new(), b = space_new();

	hc_set_cr3(a);
	((volatile unsigned char *)data)[0] = 7;
	/* Data is not executable; then it is. */
	traps(LUCID_VEC_PF, PF_I, "jmp *%0", ::"r"(code));
	hc_protect((uint64_t)code, (uint64_t)code + PAGE, LUCID_PROT_READ | LUCID_PROT_EXEC);
	((void (*)(void))code)();
	hc_protect((uint64_t)data, (uint64_t)data + PAGE, LUCID_PROT_READ);
	store();
	check_eq(data[0], 7);
	hc_set_cr3(b | 1);
	store();
	((void (*)(void))code)();
	hc_set_cr3(b | 2);
	store();
	hc_set_cr3(a);
	store();
	/* Nothing at all. */
	hc_protect((uint64_t)data, (uint64_t)data + PAGE, 0);
	traps(LUCID_VEC_PF, 0, "movb (%0), %%al", ::"r"(data) : "rax");
	hc_set_cr3(b | 1);
	traps(LUCID_VEC_PF, 0, "movb (%0), %%al", ::"r"(data) : "rax");
	check_eq(*(unsigned char *)direct((uint64_t)data - LUCID_IMAGE_BASE), 7);
}
