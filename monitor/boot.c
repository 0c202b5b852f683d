/* SPDX-License-Identifier: MIT */
/* What a guest's kernel begins with: its image and initial RAM disks, and the page that describes
 * the machine. */
#include <stdio.h>

#include "base/log.h"
#include "monitor/cpu.h"
#include "monitor/load.h"
#include "monitor/machine.h"

/*
 * Of one that can grow: an allocation is not refused for being larger than what is there yet, and
 * there is always enough memory to take more in.
 */
#define CMDLINE_GROWS " sysctl.vm.overcommit_memory=1 sysctl.vm.min_free_kbytes=8192"
/*
 * An idle machine sleeps: compaction when it is needed, not twice a second before that, and
 * statistics of memory every ten seconds.
 */
#define CMDLINE_QUIET " sysctl.vm.compaction_proactiveness=0 sysctl.vm.stat_interval=10"
/* Grace periods by asking each CPU: who waits for one does so for microseconds, not for ticks. */
#define CMDLINE_RCU " rcupdate.rcu_expedited=1"
/* The kernel command line that every guest gets; --append comes after it. */
#define CMDLINE                                                                                    \
	"console=hvc0 panic=-1 rdinit=/init thp_anon=16K-64K:always" CMDLINE_QUIET CMDLINE_RCU

int machine_load(struct machine *m, struct load_image *image)
{
	const struct vm_config *c = m->config;
	/* What the guest gets later is no place for them. */
	const struct ram boot = {.fd = m->ram.fd, .base = m->ram.base, .size = c->memory};
	struct lucid_info *info = m->control.info;
	const char *why;
	unsigned which;
	int64_t size;

	if (load_kernel(&boot, c->kernel, image, &why) < 0) {
		log_error("kernel %s %s", c->kernel, why);
		return -1;
	}
	if (!c->initrds)
		return 0;
	size = load_initrd(&boot, image->end, c->initrd, c->initrds, &why, &which);
	if (size < 0) {
		log_error("initial RAM disk %s %s", c->initrd[which], why);
		return -1;
	}
	info->initrd = image->end;
	info->initrd_size = (uint64_t)size;
	return 0;
}

/* What keeps programs from their kernel: the features of the host that are used. */
static int choose_isolation(enum vm_isolation wanted, unsigned *features)
{
	bool keys = *features & LUCID_FEATURE_PKU, can_split = space_can_split();

	if (wanted == VM_ISOLATION_SPLIT && !can_split) {
		log_error("--isolation split: this host's kernel cannot ask about system calls; "
			  "Linux 5.19 or later is needed");
		return -1;
	}
	if (wanted == VM_ISOLATION_SPLIT || (wanted == VM_ISOLATION_AUTO && !keys && can_split))
		*features = (*features & ~(unsigned)LUCID_FEATURE_PKU) | LUCID_FEATURE_SPLIT;
	else if (!keys)
		log_warn("this CPU has no protection keys: programs in the guest can reach its "
			 "kernel's memory");
	return 0;
}

int machine_describe(struct machine *m)
{
	struct lucid_info *info = m->control.info;
	unsigned features;
	int length;

	if (!space_probe(&features))
		return -1;
	if (choose_isolation(m->config->isolation, &features) < 0)
		return -1;
	info->magic = LUCID_MAGIC;
	info->version = LUCID_ABI_VERSION;
	info->features = m->features = features;
	info->ram_size = m->ram.size;
	info->boot_size = m->config->memory;
	info->vcpus = m->config->cpus;
	space_hypercalls(info->hypercall);
	cpu_describe(info);
	length = snprintf(info->cmdline, sizeof(info->cmdline), CMDLINE "%s%s%s%s",
		m->ram.size > m->config->memory ? CMDLINE_GROWS : "",
		m->config->console ? "" : " quiet", m->config->append ? " " : "",
		m->config->append ? m->config->append : "");
	if (length >= (int)sizeof(info->cmdline)) {
		log_error("the kernel command line is longer than %zu bytes; shorten --append",
			sizeof(info->cmdline) - 1);
		return -1;
	}
	return 0;
}
