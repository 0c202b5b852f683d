/* SPDX-License-Identifier: MIT */
/*
 * Pause and resume. A stopped process keeps its registers, so it is enough that the host runs
 * none of the vCPU's spaces: what is pending waits in the vCPU page and the signal queues.
 */
#include <errno.h>
#include <signal.h>

#include "monitor/machine.h"

static int signal_spaces(const struct machine *m, int signal)
{
	int err = 0;

	for (unsigned i = 0; i < STUB_SLOTS; i++)
		if (m->spaces.pid[i] && kill(m->spaces.pid[i], signal) < 0 && errno != ESRCH)
			err = -errno;
	return err;
}

int machine_pause(struct machine *m)
{
	return signal_spaces(m, SIGSTOP);
}

int machine_resume(struct machine *m)
{
	return signal_spaces(m, SIGCONT);
}
