/* SPDX-License-Identifier: MIT */
/* What is told of a machine when it has ended. */
#include "base/log.h"
#include "monitor/machine.h"
#include "monitor/session.h"

static int exit_status(struct machine *m)
{
	switch (m->end) {
	case END_POWEROFF:
		if (m->status < 0)
			log_error("the guest powered off before the command was over");
		break;
	case END_REBOOT:
		log_error("the guest asked for a reboot; run it again");
		m->status = EXIT_LUCID;
		break;
	case END_PANIC:
		log_error("the guest kernel panicked; its last lines:");
		console_ring_tail(m);
		m->status = EXIT_LUCID;
		break;
	case END_CRASH:
		console_ring_tail(m);
		m->status = EXIT_LUCID;
		break;
	case END_HOST:
		m->status = EXIT_LUCID;
		break;
	default:
		break;
	}
	return m->status < 0 ? EXIT_LUCID : m->status;
}

/* What a vCPU counted, for --verbose. The guest could write what it likes there. */
static void log_counters(const struct vcpu *vcpu)
{
	const struct lucid_vcpu *v = vcpu->page;

	log_info("vCPU %u: %lu system calls, %lu traps, %lu events, %lu halts", vcpu->id,
		v->count_syscall, v->count_trap, v->count_event, v->count_halt);
	log_info("other vCPUs: %lu sent, %lu kicks, %lu waits; %.1f ms stolen", v->count_send,
		v->count_kick, v->count_wait, (double)v->steal / 1e6);
	log_info("TLB: %lu fills of %lu pages, %lu premaps, %lu flushes, %lu evictions",
		v->count_fill, v->count_fill_pages, v->count_premap, v->count_flush,
		v->count_evict);
	log_info("spaces: %lu switches, %lu retired, %lu rewinds", v->count_switch, v->count_retire,
		v->count_rewind);
}

/* From the call of vm_run() to the agent's first words. */
static void log_boot_time(const struct machine *m)
{
	uint64_t hello = m->session ? session_hello_time(m->session) : 0;

	if (hello)
		log_info("agent after %.1f ms", (double)(hello - m->begun) / 1e6);
}

int machine_report(struct machine *m)
{
	log_boot_time(m);
	for (unsigned i = 0; i < m->control.vcpus; i++)
		log_counters(&m->vcpu[i]);
	return exit_status(m);
}
