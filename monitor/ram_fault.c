/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/ram_fault.h"
#include "monitor/terminal.h"

static const struct ram *watched;

static void bus_error(int signal, siginfo_t *info, void *context)
{
	const unsigned char *addr = info->si_addr;

	(void)context;
	terminal_restore();
	if (info->si_code > 0 && addr >= watched->base && addr < watched->base + watched->size) {
		/* A touch of RAM interrupts none of the library's own doings: this may print. */
		log_error("the host has no memory left for the guest; free some, or give the guest "
			  "less (--memory)");
		_exit(EXIT_LUCID);
	}
	raise(signal);
}

void ram_fault_watch(const struct ram *ram)
{
	struct sigaction action = {
		.sa_sigaction = bus_error, .sa_flags = SA_SIGINFO | SA_RESETHAND};

	watched = ram;
	sigaction(SIGBUS, &action, NULL);
}
