/* SPDX-License-Identifier: MIT */
/* What the host can do for spaces. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <asm/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "space/space.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF 0
#endif
#define HWCAP2_FSGSBASE_BIT (1 << 1)

static bool has_keys(void)
{
	int key = pkey_alloc(0, 0);

	if (key < 0)
		return false;
	pkey_free(key);
	return true;
}

static bool has_cpuid_faulting(void)
{
	/* Setting it to what it is changes nothing and tells whether it could be. */
	return syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1) == 0;
}

bool space_probe(unsigned *features)
{
	unsigned eax, ebx, ecx, edx;

	*features = 0;
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0) < 0) {
		log_error("this host's kernel has no Syscall User Dispatch; Linux 5.11 or later is "
			  "needed");
		return false;
	}
	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT)) {
		log_error("this host has no FSGSBASE; Linux 5.9 or later on a CPU of 2012 or later "
			  "is needed");
		return false;
	}
	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE)) {
		log_error("this host's CPU has no XSAVE; a CPU of 2012 or later is needed");
		return false;
	}
	if (has_keys())
		*features |= LUCID_FEATURE_PKU;
	if (has_cpuid_faulting())
		*features |= LUCID_FEATURE_CPUID;
	return true;
}

bool space_can_split(void)
{
	const unsigned action = SECCOMP_RET_USER_NOTIF;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
		return false;
	/* A host that knows the flags gets as far as the program, which is none. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		       SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
		       NULL) < 0 &&
	       errno == EFAULT;
}
