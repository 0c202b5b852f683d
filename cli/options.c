/* SPDX-License-Identifier: MIT */
/* The options of `lucid run`: each is checked here, before anything is made. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/lucid.h"
#include "base/log.h"
#include "cli/options.h"
#include "monitor/disks.h"

#define MIB (1ULL << 20)
#define MEMORY_DEFAULT (512 * MIB)
#define MEMORY_MIN (64 * MIB)
#define MEMORY_UNIT (2 * MIB)
/* The direct map holds all RAM; one unit less, so that its end stays unmapped. */
#define MEMORY_MAX (LUCID_DIRECT_END - LUCID_DIRECT_BASE - MEMORY_UNIT)
/* The monitor adds arguments of its own to the kernel's command line. */
#define APPEND_MAX (LUCID_CMDLINE_MAX / 2)
#define HOSTNAME_MAX 64
#define RATE_MAX (1ULL << 40)

enum {
	OPT_MEMORY = 256,
	OPT_CPUS,
	OPT_AFFINITY,
	OPT_ROOTFS,
	OPT_RW,
	OPT_DISK,
	OPT_IOPS,
	OPT_BANDWIDTH,
	OPT_NET,
	OPT_PUBLISH,
	OPT_VOLUME,
	OPT_KERNEL,
	OPT_APPEND,
	OPT_ENV,
	OPT_WORKDIR,
	OPT_USER,
	OPT_HOSTNAME,
	OPT_CONSOLE,
	OPT_NAME,
	OPT_DETACH,
	OPT_TTY,
	OPT_BALLOON,
	OPT_ISOLATION,
	OPT_GUARD_SPECULATION,
	OPT_HOST_MEMORY,
	OPT_HOST_CPU,
	OPT_VSOCK,
	OPT_VERBOSE,
	OPT_TIMEOUT,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"cpu-affinity", required_argument, NULL, OPT_AFFINITY},
	{"host-memory", required_argument, NULL, OPT_HOST_MEMORY},
	{"host-cpu", required_argument, NULL, OPT_HOST_CPU},
	{"rootfs", required_argument, NULL, OPT_ROOTFS},
	{"rw", no_argument, NULL, OPT_RW},
	{"disk", required_argument, NULL, OPT_DISK},
	{"iops", required_argument, NULL, OPT_IOPS},
	{"bandwidth", required_argument, NULL, OPT_BANDWIDTH},
	{"net", required_argument, NULL, OPT_NET},
	{"publish", required_argument, NULL, OPT_PUBLISH},
	{"volume", required_argument, NULL, OPT_VOLUME},
	{"kernel", required_argument, NULL, OPT_KERNEL},
	{"append", required_argument, NULL, OPT_APPEND},
	{"env", required_argument, NULL, OPT_ENV},
	{"workdir", required_argument, NULL, OPT_WORKDIR},
	{"user", required_argument, NULL, OPT_USER},
	{"hostname", required_argument, NULL, OPT_HOSTNAME},
	{"console", required_argument, NULL, OPT_CONSOLE},
	{"name", required_argument, NULL, OPT_NAME},
	{"detach", no_argument, NULL, OPT_DETACH},
	{"tty", no_argument, NULL, OPT_TTY},
	{"vsock", no_argument, NULL, OPT_VSOCK},
	{"balloon", required_argument, NULL, OPT_BALLOON},
	{"isolation", required_argument, NULL, OPT_ISOLATION},
	{"guard-speculation", no_argument, NULL, OPT_GUARD_SPECULATION},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

/* A decimal number in [min, max] at *s, which moves past it. */
static bool parse_number(const char **s, uint64_t min, uint64_t max, uint64_t *value)
{
	char *end;

	/* strtoull() takes blanks and signs, which have no place here. */
	if (!isdigit((unsigned char)**s))
		return false;
	errno = 0;
	*value = strtoull(*s, &end, 10);
	*s = end;
	return errno == 0 && *value >= min && *value <= max;
}

/* The factor that a size's suffix stands for, as a shift; -1: no such suffix. */
static int size_shift(const char *suffix)
{
	static const char letters[] = "KMG";
	const char *letter;

	if (suffix[0] == '\0')
		return 0;
	letter = strchr(letters, toupper((unsigned char)suffix[0]));
	if (!letter || suffix[1] != '\0')
		return -1;
	return 10 * (int)(letter - letters + 1);
}

/* A size in bytes; whole names the argument that it is part of. */
static int parse_size(const char *arg, const char *whole, uint64_t *size)
{
	const char *s = arg;
	uint64_t n;
	int shift = -1;

	/* A number too large for 64 bits is past the maximum, too. */
	if (parse_number(&s, 0, UINT64_MAX, &n) || s > arg)
		shift = size_shift(s);
	if (shift < 0) {
		log_error(
			"--memory %s: not a size; give a number with K, M or G, like 512M", whole);
		return -1;
	}
	if (n > MEMORY_MAX >> shift) {
		log_error("--memory %s: more than the address map holds; give at most %lluG", whole,
			(unsigned long long)(MEMORY_MAX >> 30));
		return -1;
	}
	n <<= shift;
	if (n < MEMORY_MIN) {
		log_error("--memory %s: too small for a guest; give at least %lluM", whole,
			(unsigned long long)(MEMORY_MIN >> 20));
		return -1;
	}
	*size = (n + MEMORY_UNIT - 1) / MEMORY_UNIT * MEMORY_UNIT;
	return 0;
}

int options_parse_size(const char *arg, uint64_t *size)
{
	const char *s = arg;
	uint64_t n;
	int shift = -1;

	if (parse_number(&s, 0, UINT64_MAX >> 30, &n))
		shift = size_shift(s);
	if (shift < 0) {
		log_error("%s: not a size; give a number with K, M or G, like 512M", arg);
		return -1;
	}
	*size = n << shift;
	return 0;
}

static int parse_memory(struct options *o, char *arg)
{
	char whole[64];
	char *dots = strstr(arg, "..");

	snprintf(whole, sizeof(whole), "%s", arg);
	o->vm.memory_max = 0;
	if (dots)
		*dots = '\0';
	if (parse_size(arg, whole, &o->vm.memory) < 0 ||
		(dots && parse_size(dots + 2, whole, &o->vm.memory_max) < 0))
		return -1;
	if (!dots || o->vm.memory_max >= o->vm.memory)
		return 0;
	log_error("--memory %s: ends below its beginning; give the smaller size first", whole);
	return -1;
}

static int parse_cpus(struct options *o, const char *arg)
{
	uint64_t n;

	const char *s = arg;

	if (!parse_number(&s, 1, VM_CPUS_MAX, &n) || *s) {
		log_error("--cpus %s: not a number of CPUs; give 1 to %d", arg, VM_CPUS_MAX);
		return -1;
	}
	o->vm.cpus = (unsigned)n;
	return 0;
}

static int add_cpu(struct vm_config *vm, const char *arg, unsigned cpu, const cpu_set_t *allowed)
{
	if (!CPU_ISSET(cpu, allowed)) {
		log_error("--cpu-affinity %s: CPU %u is not one that lucid may use; see `taskset "
			  "-cp $$`",
			arg, cpu);
		return -1;
	}
	if (vm->affinity_count == VM_AFFINITY_MAX) {
		log_error(
			"--cpu-affinity %s: too many CPUs; give at most %d", arg, VM_AFFINITY_MAX);
		return -1;
	}
	vm->affinity[vm->affinity_count++] = (uint16_t)cpu;
	return 0;
}

/* "0,2,4-7": in the order in which they stand. */
static int parse_affinity(struct options *o, const char *arg)
{
	const char *s = arg;
	cpu_set_t allowed;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0) {
		log_error("--cpu-affinity: cannot learn what CPUs there are: %s", strerror(errno));
		return -1;
	}
	o->vm.affinity_count = 0;
	for (;;) {
		uint64_t first, last;

		if (!parse_number(&s, 0, CPU_SETSIZE - 1, &first))
			goto bad;
		last = first;
		if (*s == '-') {
			s++;
			if (!parse_number(&s, first, CPU_SETSIZE - 1, &last))
				goto bad;
		}
		for (; first <= last; first++)
			if (add_cpu(&o->vm, arg, (unsigned)first, &allowed) < 0)
				return -1;
		if (!*s)
			return 0;
		if (*s++ != ',')
			goto bad;
	}
bad:
	log_error(
		"--cpu-affinity %s: not a list of CPUs; give numbers and ranges, like 0,2-3", arg);
	return -1;
}

/* Takes ",ro" or ",format=F" from the end of a disk's argument; false: there is none. */
static bool take_disk_option(struct vm_disk *disk, char *arg)
{
	char *comma = strrchr(arg, ',');

	if (!comma)
		return false;
	if (strcmp(comma, ",ro") == 0)
		disk->read_only = true;
	else if (strncmp(comma, ",format=", 8) == 0)
		disk->format = comma + 8;
	else
		return false;
	*comma = '\0';
	return true;
}

static int parse_disk(struct options *o, char *arg)
{
	struct vm_disk *disk;

	/* One place stays free for the root image. */
	if (o->vm.disks == VM_DISKS_MAX - 1) {
		log_error("--disk %s: too many disks; give at most %d", arg, VM_DISKS_MAX - 1);
		return -1;
	}
	disk = &o->vm.disk[o->vm.disks];
	*disk = (struct vm_disk){.path = arg};
	while (take_disk_option(disk, arg))
		;
	if (arg[0] == '\0') {
		log_error("--disk: no path; give PATH or PATH,ro");
		return -1;
	}
	if (disk->format && !disk_format_known(disk->format)) {
		log_error("--disk %s: no format is called %s; give raw, qcow2, vmdk, vdi, vpc or "
			  "vhdx",
			arg, disk->format);
		return -1;
	}
	o->vm.disks++;
	return 0;
}

/* A number a second, which may have a suffix. */
static int parse_rate(uint64_t *rate, const char *option, const char *arg)
{
	const char *s = arg;
	uint64_t n;
	int shift = -1;

	if (parse_number(&s, 1, UINT64_MAX, &n))
		shift = size_shift(s);
	if (shift < 0 || n > RATE_MAX >> shift) {
		log_error(
			"--%s %s: not a rate; give a number a second, with K, M or G", option, arg);
		return -1;
	}
	*rate = n << shift;
	return 0;
}

int options_parse_env(struct vm_command *c, char *arg)
{
	const char *equals = strchr(arg, '=');
	size_t n = 0;

	if (!equals || equals == arg) {
		log_error("--env %s: not a variable; give NAME=VALUE", arg);
		return -1;
	}
	while (c->env[n])
		n++;
	c->env[n] = arg; /* the caller made room for one an argument */
	return 0;
}

int options_parse_user(struct vm_command *c, const char *arg)
{
	const char *s = arg;
	uint64_t uid, gid;

	/* -1 means "no change" to the kernel. */
	if (!parse_number(&s, 0, UINT32_MAX - 1, &uid))
		goto bad;
	gid = uid;
	if (*s == ':') {
		s++;
		if (!parse_number(&s, 0, UINT32_MAX - 1, &gid))
			goto bad;
	}
	if (*s)
		goto bad;
	c->uid = (uid_t)uid;
	c->gid = (gid_t)gid;
	return 0;
bad:
	log_error("--user %s: not a user id; give numbers, UID or UID:GID", arg);
	return -1;
}

static int parse_hostname(struct options *o, const char *arg)
{
	size_t n = strspn(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");

	if (n == 0 || n > HOSTNAME_MAX || arg[n] || arg[0] == '-' || arg[0] == '.') {
		log_error("--hostname %s: not a host name; give up to %d letters, digits, . and -",
			arg, HOSTNAME_MAX);
		return -1;
	}
	o->vm.command.hostname = arg;
	return 0;
}

static int parse_isolation(struct options *o, const char *arg)
{
	static const char *const ways[] = {
		[VM_ISOLATION_AUTO] = "auto",
		[VM_ISOLATION_UNIFIED] = "unified",
		[VM_ISOLATION_SPLIT] = "split",
	};
	unsigned i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(arg, ways[i]) == 0) {
			o->vm.isolation = (enum vm_isolation)i;
			return 0;
		}
	}
	log_error("--isolation %s: not a way; give auto, unified or split", arg);
	return -1;
}

static int parse_timeout(struct options *o, const char *arg)
{
	const char *s = arg;
	uint64_t n;

	if (!parse_number(&s, 1, INT_MAX, &n) || *s) {
		log_error("--timeout %s: not a time; give whole seconds, 1 or more", arg);
		return -1;
	}
	o->vm.timeout = (unsigned)n;
	return 0;
}

/* An option whose argument is a path, which is opened later. */
static int parse_path(const char **path, const char *option, const char *arg)
{
	if (arg[0] == '\0') {
		log_error("--%s: no path; give one", option);
		return -1;
	}
	*path = arg;
	return 0;
}

static int parse_option(struct options *o, int opt, char *arg)
{
	switch (opt) {
	case OPT_MEMORY:
		return parse_memory(o, arg);
	case OPT_CPUS:
		return parse_cpus(o, arg);
	case OPT_AFFINITY:
		return parse_affinity(o, arg);
	case OPT_ROOTFS:
		return parse_path(&o->rootfs, "rootfs", arg);
	case OPT_RW:
		o->rw = true;
		return 0;
	case OPT_DISK:
		return parse_disk(o, arg);
	case OPT_HOST_MEMORY:
		return options_host_memory(o, arg);
	case OPT_HOST_CPU:
		return options_host_cpu(o, arg);
	case OPT_NET:
		return options_net(o, arg);
	case OPT_IOPS:
		return parse_rate(&o->vm.iops, "iops", arg);
	case OPT_BANDWIDTH:
		return parse_rate(&o->vm.bandwidth, "bandwidth", arg);
	case OPT_VOLUME:
	case 'v':
		return options_volume(o, arg);
	case OPT_PUBLISH:
	case 'p':
		return options_publish(o, arg);
	case OPT_KERNEL:
		return parse_path(&o->vm.kernel, "kernel", arg);
	case OPT_APPEND:
		o->vm.append = arg;
		if (strlen(arg) <= APPEND_MAX)
			return 0;
		log_error(
			"--append: too long for a command line; give at most %d bytes", APPEND_MAX);
		return -1;
	case OPT_ENV:
		return options_parse_env(&o->vm.command, arg);
	case OPT_WORKDIR:
		o->vm.command.workdir = arg;
		if (arg[0] == '/')
			return 0;
		log_error("--workdir %s: not an absolute path; begin it with /", arg);
		return -1;
	case OPT_USER:
		return options_parse_user(&o->vm.command, arg);
	case OPT_HOSTNAME:
		return parse_hostname(o, arg);
	case OPT_CONSOLE:
		return parse_path(&o->vm.console, "console", arg);
	case OPT_NAME:
		o->name = arg;
		if (rundir_name_valid(arg))
			return 0;
		log_error("--name %s: not a name; give up to %d letters, digits, . _ and -, a "
			  "letter or digit first",
			arg, RUNDIR_NAME_MAX);
		return -1;
	case OPT_DETACH:
		o->detach = true;
		return 0;
	case OPT_TTY:
		o->vm.command.tty = true;
		return 0;
	case OPT_BALLOON:
		o->vm.balloon_auto = strcmp(arg, "auto") == 0;
		if (o->vm.balloon_auto || strcmp(arg, "manual") == 0)
			return 0;
		log_error("--balloon %s: not a way; give auto or manual", arg);
		return -1;
	case OPT_ISOLATION:
		return parse_isolation(o, arg);
	case OPT_GUARD_SPECULATION:
		o->vm.guard_speculation = true;
		return 0;
	case OPT_VSOCK:
		o->vm.vsock_outward = true;
		return 0;
	case OPT_VERBOSE:
		o->verbose = true;
		return 0;
	case OPT_TIMEOUT:
		return parse_timeout(o, arg);
	default:
		log_bug("option without a case");
	}
}

/* getopt's complaint in our words; given is the argument it stopped at. */
static void report_getopt(int opt, const char *given)
{
	int n = (int)strcspn(given, "=");

	if (opt == ':')
		log_error("%s: needs an argument; see `lucid run --help`", given);
	else if (optopt >= OPT_MEMORY)
		log_error("%.*s: takes no argument; see `lucid run --help`", n, given);
	else
		log_error("unknown option %.*s; see `lucid run --help`", n, given);
}

int options_parse(struct options *o, int argc, char **argv)
{
	int opt, at;

	*o = (struct options){.vm = {.memory = MEMORY_DEFAULT, .cpus = 1}};
	o->vm.command.env = calloc((size_t)argc + 1, sizeof(char *));
	if (!o->vm.command.env) {
		log_error("out of memory; free some");
		return -1;
	}
	opterr = 0;
	optind = 0; /* glibc: start over, this may not be the first parse */
	for (;;) {
		at = optind ? optind : 1;
		/* + : the first other argument is the command; ':' a missing argument. */
		opt = getopt_long(argc, argv, "+:hp:v:", long_options, NULL);
		if (opt == -1)
			break;
		if (opt == '?' || opt == ':') {
			report_getopt(opt, argv[at]);
			return -1;
		}
		if (opt == OPT_HELP || opt == 'h') {
			o->help = true;
			return 0;
		}
		if (parse_option(o, opt, optarg) < 0)
			return -1;
	}
	o->vm.command.argv = argv + optind;
	if (o->vm.command.tty && !o->detach) {
		log_error("--tty: a terminal for `lucid attach`; give --detach with it");
		return -1;
	}
	if (options_net_end(o) < 0)
		return -1;
	if (o->rw && !o->rootfs) {
		log_error("--rw: there is no root to write to; give --rootfs IMAGE with it");
		return -1;
	}
	return 0;
}

void options_free(struct options *o)
{
	free(o->vm.command.env);
	o->vm.command.env = NULL;
}
