/* SPDX-License-Identifier: MIT */
/*
 * The zygote: a fork of the monitor that maps what every space has, takes the
 * signal handlers and the seccomp list, and jumps into the stub, which unmaps the
 * rest. It is empty: a fork of it costs what an empty process costs.
 */
#define _GNU_SOURCE
#include "space/zygote.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/rseq.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <asm/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "space/filter.h"

#define PKRU_DENY_ALL 0x3u
#define PKRU_DENY_WRITE 0x2u

/* As the kernel takes it: glibc's struct has another layout and restorer. */
struct kernel_sigaction {
	unsigned long handler, flags, restorer, mask;
};

static const struct stub_header *head(void)
{
	return (const struct stub_header *)stub_image_start;
}

void space_hypercalls(unsigned long hypercall[LUCID_HC_COUNT])
{
	memcpy(hypercall, head()->hypercall, sizeof(head()->hypercall));
}

/* The monitor sees the end of the zygote and says that it could not start. */
static _Noreturn void give_up(const char *what)
{
	log_error("cannot make a space: %s: %s", what, strerror(errno));
	_exit(EXIT_LUCID);
}

static void *map_at(uint64_t addr, uint64_t size, int prot, int flags, int fd, uint64_t offset)
{
	void *at = mmap((void *)addr, size, prot, flags | MAP_FIXED_NOREPLACE, fd, (off_t)offset);

	if (at != (void *)addr)
		give_up("mmap");
	return at;
}

static void map_stub(void)
{
	size_t size = (uintptr_t)stub_image_end - (uintptr_t)stub_image_start;
	int fd = memfd_create("lucid-stub", MFD_CLOEXEC);

	/* All that is mapped is there: a program that jumps behind the text meets no SIGBUS. */
	if (fd < 0 || write(fd, stub_image_start, size) != (ssize_t)size ||
		ftruncate(fd, STUB_TEXT_SIZE) < 0)
		give_up("memfd");
	map_at(STUB_TEXT_ADDR, STUB_TEXT_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	close(fd);
}

static void map_windows(const struct space_config *config)
{
	int control = config->control->fd, ram = config->ram->fd;
	unsigned vcpus = config->control->vcpus, i;

	map_at(STUB_PRIVATE_ADDR, STUB_PRIVATE_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map_at(STUB_STACK_ADDR, STUB_STACK_SIZE + STUB_SIGSTACK_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map_at(STUB_KNOWN_ADDR, STUB_KNOWN_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map_at(STUB_SHARED_ADDR, STUB_SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, control,
		CONTROL_SHARED(vcpus, config->vcpu));
	map_at(STUB_MACHINE_ADDR, STUB_MACHINE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, control,
		CONTROL_MACHINE);
	map_at(LUCID_VCPU_ADDR, LUCID_VCPU_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, control,
		CONTROL_VCPU(config->vcpu));
	map_at(LUCID_VCPUS_ADDR, (uint64_t)vcpus * LUCID_VCPU_SIZE, PROT_READ | PROT_WRITE,
		MAP_SHARED, control, CONTROL_VCPU(0));
	map_at(LUCID_INFO_ADDR, LUCID_INFO_SIZE, PROT_READ, MAP_SHARED, control, CONTROL_INFO);
	map_at(LUCID_CONSOLE_ADDR, LUCID_CONSOLE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, control,
		CONTROL_CONSOLE);
	map_at(LUCID_DIRECT_BASE, config->ram->size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_NORESERVE, ram, 0);
	for (i = 0; i < config->segments; i++) {
		const struct space_segment *s = &config->segment[i];

		map_at(s->va, s->size, s->prot, MAP_SHARED, ram, s->pa);
	}
}

static void set_key(uint64_t addr, uint64_t size, int prot, int key)
{
	if (pkey_mprotect((void *)addr, size, prot, key) < 0)
		give_up("pkey_mprotect");
}

/*
 * Before Linux 6.12 the host writes a signal's frame with the rights that the
 * interrupted code had: key K on the signal stack would kill a space at the first
 * signal out of user mode. There the signal stack has key 0. What is left on it of
 * earlier signals, the guest kernel's registers too, can be read by user mode then.
 * It can be written as well, which gives no power: each frame is written afresh, and
 * user mode does not run before the stub has left it.
 */
static bool signal_stack_takes_key(void)
{
	struct utsname host;
	char *end;
	unsigned long major, minor;

	if (uname(&host) < 0)
		return false;
	major = strtoul(host.release, &end, 10);
	minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	return major > 6 || (major == 6 && minor >= 12);
}

static unsigned pkru_bits(int key, unsigned bits)
{
	return bits << (2 * (unsigned)key);
}

/* Key K for kernel memory, key S for what user mode may read but not write. */
static void set_keys(const struct space_config *config, struct stub_private *private)
{
	const int rw = PROT_READ | PROT_WRITE;
	int key_kernel = pkey_alloc(0, 0), key_stub = pkey_alloc(0, 0);
	unsigned i;

	if (key_kernel < 0 || key_stub < 0)
		give_up("pkey_alloc");
	private->key_kernel = (unsigned)key_kernel;
	private->pkru = pkru_bits(key_kernel, PKRU_DENY_ALL) | pkru_bits(key_stub, PKRU_DENY_WRITE);
	set_key(STUB_STACK_ADDR, STUB_STACK_SIZE, rw, key_kernel);
	if (signal_stack_takes_key())
		set_key(STUB_SIGSTACK_ADDR, STUB_SIGSTACK_SIZE, rw, key_kernel);
	set_key(STUB_KNOWN_ADDR, STUB_KNOWN_SIZE, rw, key_kernel);
	set_key(STUB_SHARED_ADDR, STUB_SHARED_SIZE, rw, key_kernel);
	set_key(STUB_MACHINE_ADDR, STUB_MACHINE_SIZE, rw, key_kernel);
	set_key(LUCID_VCPU_ADDR, LUCID_VCPU_SIZE, rw, key_kernel);
	set_key(LUCID_VCPUS_ADDR, (uint64_t)config->control->vcpus * LUCID_VCPU_SIZE, rw,
		key_kernel);
	set_key(LUCID_INFO_ADDR, LUCID_INFO_SIZE, PROT_READ, key_kernel);
	set_key(LUCID_CONSOLE_ADDR, LUCID_CONSOLE_SIZE, rw, key_kernel);
	set_key(LUCID_DIRECT_BASE, config->ram->size, rw, key_kernel);
	for (i = 0; i < config->segments; i++)
		set_key(config->segment[i].va, config->segment[i].size, config->segment[i].prot,
			key_kernel);
	set_key(STUB_PRIVATE_ADDR, STUB_PRIVATE_SIZE, rw, key_stub);
}

/*
 * Whether the machine was started on fewer CPUs than the host gives its user, by taskset perhaps.
 * Who may choose between some CPUs may choose any other, so its spaces may not choose at all.
 */
static bool was_narrowed(const cpu_set_t *cpus)
{
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	if (sched_setaffinity(0, sizeof(all), &all) < 0 ||
		sched_getaffinity(0, sizeof(all), &all) < 0 ||
		sched_setaffinity(0, sizeof(*cpus), cpus) < 0)
		return true;
	return !CPU_EQUAL(&all, cpus);
}

/* Between which CPUs its spaces may choose. With one, or more than a mask holds: none. */
static void find_cpus(struct stub_shared *shared)
{
	cpu_set_t cpus;

	_Static_assert(sizeof(cpus) == sizeof(shared->allowed), "one mask");
	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0 || CPU_COUNT(&cpus) < 2 ||
		was_narrowed(&cpus))
		return;
	memcpy(shared->allowed, &cpus, sizeof(cpus));
	shared->allowed_count = (unsigned)CPU_COUNT(&cpus);
}

static bool places(void)
{
	return ((const struct stub_shared *)STUB_SHARED_ADDR)->allowed_count != 0;
}

/* Where in a signal frame the last of the guest's state components ends. */
static unsigned xsave_size(uint64_t xcr0)
{
	unsigned size = 576, i, eax, ebx, ecx, edx;

	for (i = 2; i < 63; i++)
		if ((xcr0 >> i & 1) && __get_cpuid_count(13, i, &eax, &ebx, &ecx, &edx) &&
			ebx + eax > size)
			size = ebx + eax;
	if (size > STUB_XSAVE_SIZE) {
		errno = E2BIG;
		give_up("registers");
	}
	return size;
}

static void fill_private(
	const struct space_config *config, struct stub_private *private, pid_t monitor)
{
	unsigned eax, ebx, ecx, edx;

	private->monitor = (unsigned long)monitor;
	private->user.cpu = config->vcpu;
	private->exit_cs = LUCID_USER_CS;
	private->exit_ss = LUCID_USER_SS;
	private->xsavec = __get_cpuid_count(13, 1, &eax, &ebx, &ecx, &edx) && (eax & bit_XSAVEC);
	private->xsave_size = xsave_size(config->control->info->xcr0);
	private->twin = !!(config->control->info->features & LUCID_FEATURE_SPLIT);
}

/*
 * What the list lets a space do it cannot do without end. The address space is what holds the
 * host's page tables of large mappings down; a stub that meets the limit drops its fills and goes
 * on. The descriptors that are there stay; new are the schedstat's, 0, and the two of a twin.
 */
static void set_limits(const struct space_config *config)
{
	const rlim_t space = 8 * config->ram->size + (4ULL << 30);
	const bool twins = config->control->info->features & LUCID_FEATURE_SPLIT;
	const struct {
		int which;
		rlim_t most;
	} limit[] = {
		{RLIMIT_CORE, 0},
		{RLIMIT_FSIZE, 0},
		{RLIMIT_MEMLOCK, 0},
		{RLIMIT_MSGQUEUE, 0},
		{RLIMIT_NICE, 0},
		{RLIMIT_RTPRIO, 0},
		{RLIMIT_NOFILE, twins ? 3 : 1},
		{RLIMIT_AS, space},
	};

	for (unsigned i = 0; i < sizeof(limit) / sizeof(limit[0]); i++) {
		struct rlimit now;

		if (getrlimit((__rlimit_resource_t)limit[i].which, &now) < 0 ||
			now.rlim_max <= limit[i].most)
			continue;
		now.rlim_cur = now.rlim_max = limit[i].most;
		setrlimit((__rlimit_resource_t)limit[i].which, &now);
	}
}

/* The list of spaces, which each of them takes, and the zygote's own. */
static void set_lists(const struct space_config *config, struct stub_private *private)
{
	const struct filter_wants wants = {
		.ram_size = config->ram->size,
		.key = private->key_kernel,
		.kicks = config->kick != NULL,
		.places = places(),
		.twins = private->twin,
	};
	int length = filter_space((struct sock_filter *)private->filter,
		sizeof(private->filter) / sizeof(struct sock_filter), &wants);

	private->filter_len = (unsigned short)length;
	if (length >= 0 && wants.twins) {
		length = filter_twin((struct sock_filter *)private->twin_filter,
			sizeof(private->twin_filter) / sizeof(struct sock_filter), &wants);
		private->twin_filter_len = (unsigned short)length;
	}
	/* What makes the list needs files. */
	set_limits(config);
	if (length >= 0)
		length = filter_zygote(&wants);
	if (length < 0) {
		errno = -length;
		give_up("seccomp");
	}
}

static void set_signals(bool keys)
{
	static const int handled[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS,
		STUB_KICK_SIGNAL, STUB_TWIN_SIGNAL};
	struct kernel_sigaction action = {
		.handler = head()->signal[keys],
		.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | 0x04000000 /* SA_RESTORER */,
		.restorer = head()->restorer,
	};
	const stack_t stack = {
		.ss_sp = (void *)STUB_SIGSTACK_ADDR,
		.ss_size = STUB_SIGSTACK_SIZE,
	};
	unsigned long none = 0;
	unsigned i;

	if (sigaltstack(&stack, NULL) < 0)
		give_up("sigaltstack");
	for (i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		if (syscall(SYS_rt_sigaction, handled[i], &action, NULL, sizeof(none)) < 0)
			give_up("sigaction");
	/* The monitor's mask blocks what it takes by descriptor; a space takes it as it comes. */
	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none)) < 0)
		give_up("sigprocmask");
}

#define FDS_FIXED 5
/* Above all that a space has. */
#define FD_HIGH (STUB_FD_KICK + LUCID_VCPUS)

static void close_between(unsigned first, unsigned last)
{
	if (first <= last && close_range(first, last, 0) < 0)
		give_up("close_range");
}

/* Descriptors: the few by fixed number, no others. */
static void set_descriptors(const struct space_config *config, int order, int proc)
{
	int from[FDS_FIXED + LUCID_VCPUS] = {
		config->ram->fd, config->doorbell, config->timer, order, proc};
	int to[FDS_FIXED + LUCID_VCPUS] = {
		STUB_FD_RAM, STUB_FD_DOORBELL, STUB_FD_TIMER, STUB_FD_ZYGOTE, STUB_FD_PROC};
	int kicks = config->kick ? (int)config->control->vcpus : 0, n, i;

	for (n = 0; n < kicks; n++) {
		from[FDS_FIXED + n] = config->kick[n];
		to[FDS_FIXED + n] = STUB_FD_KICK + n;
	}
	n += FDS_FIXED;
	for (i = 0; i < n; i++) {
		from[i] = fcntl(from[i], F_DUPFD, FD_HIGH);
		if (from[i] < 0 && to[i] != STUB_FD_PROC)
			give_up("descriptor");
	}
	for (i = 0; i < n; i++)
		if (from[i] >= 0 && dup2(from[i], to[i]) < 0)
			give_up("descriptor");
	if (from[FDS_FIXED - 1] < 0)
		close(STUB_FD_PROC);
	close_between(STUB_FD_PROC + 1, STUB_FD_KICK - 1);
	close_between(STUB_FD_KICK + (unsigned)kicks, ~0u);
}

/* glibc's per-thread registrations point into memory that is about to go. */
static void forget_libc(void)
{
	syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, sizeof(struct rseq),
		RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
	syscall(SYS_set_robust_list, NULL, 24);
	syscall(SYS_set_tid_address, NULL);
}

static void set_process(pid_t monitor)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != monitor)
		_exit(EXIT_LUCID);
	setsid(); /* the terminal's Ctrl-C is for the monitor */
	prctl(PR_SET_NAME, "lucid-space");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		give_up("no_new_privs");
}

static _Noreturn void enter_stub(void)
{
	/* The guest starts with nothing of the monitor's in its registers. */
	__asm__ volatile("xor %%eax, %%eax\n\t"
			 "wrfsbase %%rax\n\t"
			 "wrgsbase %%rax\n\t"
			 "mov %0, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "jmp *%1"
			 :
			 : "r"(STUB_STACK_ADDR + STUB_STACK_SIZE - 8), "r"(head()->zygote)
			 : "rax", "memory");
	__builtin_unreachable();
}

_Noreturn void zygote_main(const struct space_config *config, int order)
{
	struct stub_private *private = (struct stub_private *)STUB_PRIVATE_ADDR;
	unsigned features = config->control->info->features;
	/* Without /proc the guest does without the time that is stolen from it. */
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	pid_t monitor = getppid();

	space_enclose(proc);
	set_process(monitor);
	if (config->cpus && sched_setaffinity(0, sizeof(*config->cpus), config->cpus) < 0)
		give_up("CPU affinity");
	map_stub();
	map_windows(config);
	find_cpus((struct stub_shared *)STUB_SHARED_ADDR);
	set_descriptors(config, order, proc);
	fill_private(config, private, monitor);
	if (features & LUCID_FEATURE_CPUID)
		syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
	set_signals(features & LUCID_FEATURE_PKU);
	if (features & LUCID_FEATURE_PKU)
		set_keys(config, private);
	forget_libc();
	set_lists(config, private);
	enter_stub();
}
