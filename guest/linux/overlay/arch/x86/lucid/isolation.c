// SPDX-License-Identifier: GPL-2.0
/* /proc/PID/status tells what keeps a program from the kernel's memory: docs/security.md. */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <asm/lucid.h>

#include "lucid.h"

void arch_proc_pid_thread_features(struct seq_file *m, struct task_struct *task)
{
	const char *how = "none";

	if (lucid_info->features & LUCID_FEATURE_SPLIT)
		how = "split";
	else if (lucid_info->features & LUCID_FEATURE_PKU)
		how = "unified";
	seq_printf(m, "Lucid_isolation:\t%s\n", how);
}
