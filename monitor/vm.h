/* SPDX-License-Identifier: MIT */
/* A virtual machine: from a configuration to an exit status. */
#ifndef MONITOR_VM_H
#define MONITOR_VM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/agent.h"
#include "api/rundir.h"
#include "monitor/logfile.h"

#define VM_DISKS_MAX 16
#define VM_NETS_MAX 4
#define VM_PUBLISH_MAX 64
#define VM_FOLDERS_MAX 8
#define VM_INITRDS_MAX 4
#define VM_CPUS_MAX 64
#define VM_AFFINITY_MAX 1024

struct vm_disk {
	const char *path;
	const char *format; /* "raw", "qcow2", ...; NULL: what its name and its first bytes say */
	bool read_only;
};

enum vm_net_kind {
	VM_NET_USER, /* through passt */
	VM_NET_TAP, /* a tap device of the host */
	VM_NET_SOCKET, /* a switch between machines */
};

/* A network card. */
struct vm_net {
	enum vm_net_kind kind;
	const char *name; /* TAP: the interface; SOCKET: the path */
	bool asked; /* by the user: a machine without it would be none */
	struct agent_net guest; /* how the guest sets it up; an all-zero mac: any */
};

/* A port of the host that leads to one of the guest, by way of the first user network. */
struct vm_publish {
	char address[46]; /* of the host, as text; "": all */
	uint16_t host, guest;
	bool udp;
};

/* A folder of the host in the guest. */
struct vm_folder {
	const char *path, *guest;
	bool read_only;
};

/*
 * How the guest's root comes about; disk 0 holds it, or folder 0 with
 * VM_ROOT_FOLDER, unless VM_ROOT_INITRD.
 */
enum vm_root {
	VM_ROOT_INITRD, /* the default root in the initramfs */
	VM_ROOT_OVERLAY, /* disk 0 read-only under an overlay in memory */
	VM_ROOT_RW, /* disk 0 itself, read-write (ext4) */
	VM_ROOT_FOLDER, /* folder 0 itself, read-write */
};

/* What the agent is to run. */
struct vm_command {
	char **argv; /* NULL-terminated; empty: an interactive shell */
	char **env; /* NULL-terminated K=V */
	const char *workdir; /* NULL: / or the user's home */
	const char *hostname; /* NULL: lucid */
	uid_t uid;
	gid_t gid;
	bool tty; /* run on a terminal of the guest */
};

/* What the agent is told when it starts. */
struct vm_setup {
	const struct vm_command *command;
	enum vm_root root;
	const char *fstype; /* of the root disk, or NULL */
	const struct agent_net *net;
	unsigned nets;
	const struct vm_folder *folder;
	unsigned folders;
	uint64_t memory_max; /* as in struct vm_config */
};

/* What keeps the guest's programs from its kernel. */
enum vm_isolation {
	VM_ISOLATION_AUTO, /* the fastest that the host has */
	VM_ISOLATION_UNIFIED, /* protection keys, in one space */
	VM_ISOLATION_SPLIT, /* spaces of their own */
};

struct vm_config {
	uint64_t memory; /* bytes, a multiple of 2 MiB */
	uint64_t memory_max; /* it may grow to as many; 0: it does not */
	bool balloon_auto; /* the host's need may take memory back */
	unsigned cpus; /* virtual ones, 1 to VM_CPUS_MAX */
	/* CPUs of the host that virtual CPUs 0, 1, ... are kept on, in turns; none: any. */
	uint16_t affinity[VM_AFFINITY_MAX];
	unsigned affinity_count;
	uint64_t host_memory; /* bytes of the host's memory for all of it, 0: no limit */
	uint64_t host_cpu; /* thousandths of a CPU of the host, 0: no limit */
	const char *kernel; /* ELF image */
	const char *append; /* more kernel command line, or NULL */
	const char *initrd[VM_INITRDS_MAX]; /* cpio archives, laid one after another */
	unsigned initrds;
	struct vm_disk disk[VM_DISKS_MAX];
	unsigned disks;
	uint64_t iops, bandwidth; /* of each disk, a second; 0: no limit */
	struct vm_net net[VM_NETS_MAX];
	unsigned nets;
	struct vm_publish publish[VM_PUBLISH_MAX];
	unsigned publishes;
	struct vm_folder folder[VM_FOLDERS_MAX];
	unsigned folders;
	enum vm_root root;
	const char *root_fstype; /* "erofs", "ext4"; NULL with VM_ROOT_INITRD */
	struct vm_command command;
	const char *console; /* kernel messages: file, "-" for stderr, NULL for nowhere */
	unsigned timeout; /* seconds, 0: none */
	struct rundir_claim *claim; /* the machine's name; NULL: none, and no control socket */
	enum vm_isolation isolation;
	bool guard_speculation; /* process_guard_speculation() */
	bool vsock_outward; /* the guest may connect to vsock_PORT in the machine's folder */
	/*
	 * Of a detached machine: where its streams go, NULL: they are Lucid's own. A byte is
	 * written to ready, and ready closed, when its command runs.
	 */
	struct logfile *log;
	int ready;
};

/*
 * Boots the machine, runs the command, powers off. Returns the exit status for
 * the process: the command's (128 + signal), or EXIT_LUCID after an error that
 * has been reported. Nothing is left behind.
 */
int vm_run(const struct vm_config *config);

#endif
