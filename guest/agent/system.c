/* SPDX-License-Identifier: MIT */
/* What falls to process 1: the kernel's log, the loopback interface, the way out. */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent/agent.h"

#define MOUNTS_MAX 256
#define GRACE_MS 1000

void system_log(const char *fmt, ...)
{
	char line[512] = "<4>agent: ";
	size_t n = strlen(line);
	va_list ap;
	int fd;

	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	n = strlen(line);
	line[n++] = '\n';
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || write(fd, line, n) < 0)
		return; /* there is nobody left to tell */
	close(fd);
}

void system_loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	/* The kernel gives it 127.0.0.1 and ::1 by itself. */
	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &request) < 0)
		system_log("no loopback interface: %s", strerror(errno));
	if (s >= 0)
		close(s);
}

/* Reaps until no process is left (true) or the time is over. */
static bool reap_all(int ms)
{
	const struct timespec patience = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0)
			return true;
		if (pid == 0 && sigtimedwait(&child, NULL, &patience) < 0 && errno == EAGAIN)
			return false;
	}
}

static void end_processes(void)
{
	/* With no process left, which is the rule, none of this waits. */
	if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
		return;
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
	if (reap_all(GRACE_MS))
		return;
	kill(-1, SIGKILL);
	reap_all(GRACE_MS);
}

/* Detaches the disks, the last mounted first; what is busy becomes read-only. */
static void unmount_disks(void)
{
	char *target[MOUNTS_MAX];
	struct mntent *entry;
	size_t n = 0;
	FILE *f = setmntent("/proc/self/mounts", "re");

	if (!f) {
		mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
		return;
	}
	while (n < MOUNTS_MAX && (entry = getmntent(f))) {
		if (strncmp(entry->mnt_fsname, "/dev/", 5) != 0 || hasmntopt(entry, "ro"))
			continue;
		target[n] = strdup(entry->mnt_dir);
		n += target[n] != NULL;
	}
	endmntent(f);
	while (n--) {
		if (umount2(target[n], 0) < 0)
			mount(NULL, target[n], NULL, MS_REMOUNT | MS_RDONLY, NULL);
		free(target[n]);
	}
}

_Noreturn void system_power_off(void)
{
	/* Outside of a guest's process 1, all this would end somebody else's machine. */
	if (getpid() != 1)
		abort();
	end_processes();
	sync();
	unmount_disks();
	reboot(RB_POWER_OFF);
	/* No way to power off: stay halted rather than make the kernel panic. */
	for (;;)
		pause();
}
