/* SPDX-License-Identifier: MIT */
/*
 * How a twin is made: a fork of its space at the space's birth, which keeps of it one page of
 * text and what both share, and takes a list of its own.
 */
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <sys/mman.h>

#include "stub/sys.h"
#include "stub/twin.h"

struct kernel_sigaction {
	const void *handler;
	unsigned long flags;
	const void *restorer;
	unsigned long mask;
};

/* In the new twin, on its copy of the stub's stack. */
static _Noreturn void twin_main(void)
{
	static const unsigned char signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS,
		STUB_KICK_SIGNAL, STUB_TWIN_SIGNAL};
	/* What breaks into the yield has the host begin it again. */
	const struct kernel_sigaction action = {twin_signal,
		SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART | SA_RESTORER, twin_signal, 0};
	const stack_t stack = {
		.ss_sp = (void *)STUB_TWIN_STACK_ADDR, .ss_size = STUB_TWIN_STACK_SIZE};
	unsigned cpu = priv->user.cpu, i;
	uint64_t *page = (uint64_t *)STUB_PRIVATE_ADDR;

	sys3(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0);
	if (sys3(__NR_getppid, 0, 0, 0) != (long)priv->pid)
		twin_give_up();
	for (i = 0; i < sizeof(signals); i++)
		if (sys4(__NR_rt_sigaction, signals[i], (long)&action, 0, sizeof(action.mask)))
			twin_give_up();
	if (sys3(__NR_sigaltstack, (long)&stack, 0, 0))
		twin_give_up();
	for (i = 0; i < 4096 / sizeof(*page); i++)
		page[i] = 0;
	priv->user = (struct lucid_user){.selector = 1, .mode = LUCID_MODE_USER, .cpu = cpu};
	if (sys3(__NR_mprotect, STUB_PRIVATE_ADDR, 4096, PROT_READ) ||
		sys3(__NR_mprotect, STUB_TWIN_ADDR, STUB_TWIN_SIZE, PROT_READ))
		twin_give_up();
	((void (*)(void))twin_start)();
	__builtin_unreachable();
}

bool twin_create(void)
{
	int fd = -1;
	long pid;

	if (sys6(__NR_mmap, STUB_TWIN_ADDR, STUB_TWIN_SIZE + STUB_TWIN_STACK_SIZE,
		    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0) != STUB_TWIN_ADDR)
		return false;
	twin_copy(orders->filter, priv->twin_filter, sizeof(orders->filter));
	orders->program.len = priv->twin_filter_len;
	orders->program.filter = orders->filter;
	orders->flags = 2;
	orders->xcr0 = info->xcr0;
	/* Descriptors are shared: the one that its list gives it is the space's to use. */
	pid = sys6(__NR_clone, CLONE_FILES | CLONE_PIDFD | STUB_TWIN_SIGNAL, 0, (long)&fd, 0, 0, 0);
	if (pid == 0)
		twin_main();
	if (pid < 0)
		return false;
	priv->twin_fd = (unsigned)fd;
	priv->notify_fd = (unsigned)fd + 1; /* the lowest that is free */
	return true;
}
