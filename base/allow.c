/* SPDX-License-Identifier: MIT */
/* Lists of system calls, by libseccomp. */
#include "base/allow.h"

#include <errno.h>
#include <sys/prctl.h>

int allow_list(scmp_filter_ctx *list, const int calls[], size_t count)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !err; i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	if (err && ctx)
		seccomp_release(ctx);
	if (!err)
		*list = ctx;
	return err;
}

int allow_affinity(scmp_filter_ctx list)
{
	return seccomp_rule_add(
		list, SCMP_ACT_ALLOW, SCMP_SYS(sched_setaffinity), 1, SCMP_A0(SCMP_CMP_EQ, 0));
}

int allow_only(scmp_filter_ctx list)
{
	int err = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : seccomp_load(list);

	seccomp_release(list);
	return err;
}
