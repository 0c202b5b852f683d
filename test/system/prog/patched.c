/* SPDX-License-Identifier: MIT */
/*
 * System calls that the guest's kernel patches: nothing but their speed changes, for signals,
 * threads, forks, tracers and filters. Prints ok; an argument names what is wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define OFTEN 64 /* more calls than it takes to be patched */
#define UNPATCHED 0x10000000 /* personality */
#define SITES 17

static const char *stage = "start";

#define check(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			printf("%s: line %d: %s\n", stage, __LINE__, #what);                       \
			fflush(stdout);                                                            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/*
 * Calls of getpid, one at each place within 16 bytes and one at a page's end, and one of read in
 * the other shape. site_N is the mov, the call's end is site_N + 7.
 */
__asm__(".pushsection .text\n"
	".macro SITE n\n"
	".balign 16\n.fill \\n, 1, 0x90\n"
	"site_\\n: mov $39, %eax\nsyscall\nret\n.balign 16\n"
	".endm\n"
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nSITE \\n\n.endr\n"
	".balign 16\nread_site: xor %eax, %eax\nsyscall\ncmp $-4096, %rax\nret\n"
	"nopw 0x200(%rax, %rax, 1)\nnopw 0x200(%rax, %rax, 1)\n"
	".balign 4096\n.skip 4096 - 7\nsite_16: mov $39, %eax\nsyscall\nret\n.balign 4096\n"
	"sites: .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n.quad site_\\n\n.endr\n"
	".popsection");
extern unsigned char *const sites[SITES];
extern unsigned char read_site[];

/* A call with all registers and the red zone watched; 0 if they are as they were. */
long watched(void *site, long di, long si, long dx);
__asm__(".pushsection .text\nwatched:\n"
	"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"mov $0x55aa, %rbx\nmov %rbx, -24(%rsp)\nmov %rbx, -128(%rsp)\n"
	"mov %rdi, %r12\nmov %rsi, %rdi\nmov %rdx, %rsi\nmov %rcx, %rdx\n"
	"mov %rdi, %r13\nmov %rsi, %r14\nmov %rdx, %r15\nmov %rsp, %rbp\n"
	"mov $0x108, %r8\nmov $0x109, %r9\nmov $0x10a, %r10\n"
	"lea 1f(%rip), %rax\nmov %rax, -8(%rsp)\nsub $8, %rsp\nmov %rsp, %rbp\nstc\njmp *%r12\n"
	"1: setc %cl\nmov $1, %eax\n"
	"cmp $0x108, %r8\njne 9f\ncmp $0x109, %r9\njne 9f\ncmp $0x10a, %r10\njne 9f\n"
	"cmp %r13, %rdi\njne 9f\ncmp %r14, %rsi\njne 9f\ncmp %r15, %rdx\njne 9f\n"
	"cmp $0x55aa, %rbx\njne 9f\ncmp %rbx, -24(%rsp)\njne 9f\ncmp %rbx, -128(%rsp)\njne 9f\n"
	"lea 8(%rbp), %rbp\ncmp %rbp, %rsp\njne 9f\ntest %cl, %cl\njz 9f\nxor %eax, %eax\n"
	"9: pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n.popsection");

static long call(unsigned char *site, long di, void *si, long dx)
{
	long ret;

	__asm__ volatile("call *%1"
			 : "=a"(ret)
			 : "r"(site), "D"(di), "S"(si), "d"(dx)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}

static void often(unsigned char *site)
{
	for (int i = 0; i < OFTEN; i++)
		check(call(site, 0, NULL, 0) == getpid());
}

static int patched(const unsigned char *site)
{
	check(site[5] == 0x0f && site[6] == 0x05);
	if (site[0] == 0xb8)
		return 0;
	check(site[0] == 0xe9);
	return 1;
}

/* Each place in turn, by a thread among others that use it. */
static void *hammer(void *arg)
{
	for (int i = 0; i < SITES; i++)
		for (int k = 0; k < 20 * OFTEN; k++)
			if (call(sites[i], 0, NULL, 0) != (long)arg)
				return "bad";
	return NULL;
}

static void in_threads(void)
{
	pthread_t threads[4];
	void *bad;

	stage = "threads";
	for (int i = 0; i < 4; i++)
		check(pthread_create(&threads[i], NULL, hammer, (void *)(long)getpid()) == 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &bad);
		check(!bad);
	}
	for (int i = 0; i < SITES; i++)
		check(patched(sites[i]));
}

static void by_read(void)
{
	int p[2];
	char c;

	stage = "read";
	check(pipe(p) == 0);
	for (int i = 0; i < OFTEN; i++) {
		check(write(p[1], "x", 1) == 1);
		check(call(read_site, p[0], &c, 1) == 1 && c == 'x');
	}
	check(read_site[0] == 0xeb && read_site[2] == 0x0f && read_site[3] == 0x05);
	close(p[1]);
	check(call(read_site, p[0], &c, 1) == 0);
	check(call(read_site, -1, &c, 1) == -EBADF);
	close(p[0]);
}

/* The C library's syscall(), whose last step is to load the sixth argument. */
static void by_syscall(void)
{
	int fd = open("/tmp/patched", O_RDWR | O_CREAT | O_TRUNC, 0600);

	stage = "syscall()";
	check(pwrite(fd, "far", 4, 0x5000) == 4);
	for (int i = 0; i < OFTEN; i++) {
		char *p =
			(char *)syscall(SYS_mmap, NULL, 0x1000, PROT_READ, MAP_PRIVATE, fd, 0x5000);

		check(p != MAP_FAILED && strcmp(p, "far") == 0);
		check(munmap(p, 0x1000) == 0);
		check(syscall(SYS_getpid) == getpid());
		check(syscall(SYS_close, -1) == -1 && errno == EBADF);
	}
	close(fd);
}

static void registers(void)
{
	stage = "registers";
	for (int i = 0; i < 1000; i++)
		check(watched(sites[i % SITES], 0x1234, 0x5678, 0x9abc) == 0);
}

/* ---- Signals --------------------------------------------------------------------- */

static volatile int signals;
static volatile uintptr_t strange;
extern char __executable_start, etext;

static void look(int sig, siginfo_t *si, void *arg)
{
	const ucontext_t *uc = arg;
	uintptr_t ip = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];

	(void)sig;
	(void)si;
	signals++;
	/* Nobody is ever seen in a slot, or between the two jumps. */
	if (ip < (uintptr_t)&__executable_start || ip >= (uintptr_t)&etext ||
		(ip > (uintptr_t)read_site + 10 && ip < (uintptr_t)read_site + 29))
		strange = ip;
}

static void in_signals(void)
{
	struct sigaction sa = {.sa_sigaction = look, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct itimerval often_enough = {{0, 100}, {0, 100}}, off = {0};
	pid_t pid = getpid();
	char c;

	stage = "signals";
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often_enough, NULL);
	while (signals < 3000) {
		for (int i = 0; i < 1000; i++) {
			check(watched(sites[i % SITES], 1, 2, 3) == 0);
			check(call(read_site, -1, &c, 1) == -EBADF);
			check(syscall(SYS_getpid) == pid);
		}
	}
	setitimer(ITIMER_REAL, &off, NULL);
	if (strange) {
		printf("signals: at %lx\n", strange);
		_exit(1);
	}
}

/* A read that a signal restarts. */
static void restart(void)
{
	struct itimerval soon = {{0, 0}, {0, 50000}};
	int p[2], before = signals;
	pid_t child;
	char c = 0;

	stage = "restart";
	check(pipe(p) == 0);
	child = fork();
	if (child == 0) {
		usleep(200000);
		_exit(write(p[1], "y", 1) != 1);
	}
	setitimer(ITIMER_REAL, &soon, NULL);
	check(call(read_site, p[0], &c, 1) == 1 && c == 'y');
	check(signals > before);
	check(waitpid(child, NULL, 0) == child);
	close(p[0]);
	close(p[1]);
}

/* ---- Steps ------------------------------------------------------------------------- */

static volatile int steps;

static void count_step(int sig)
{
	(void)sig;
	steps++;
}

/* Below the red zone of whoever says so. */
#define FLAGS(change)                                                                              \
	__asm__ volatile("lea -128(%%rsp), %%rsp\npushfq\n" change                                 \
			 "popfq\nlea 128(%%rsp), %%rsp" ::                                         \
				 : "memory", "cc")

/* A program that steps through its own calls gets through each of them; else the alarm rings. */
static void stepped(void)
{
	char *p, c;
	long ret;

	stage = "steps";
	signal(SIGTRAP, count_step);
	signal(SIGALRM, SIG_DFL);
	alarm(20);
	for (int i = 0; i < OFTEN; i++) {
		FLAGS("orq $0x100, (%%rsp)\n");
		ret = call(sites[i % SITES], 0, NULL, 0);
		FLAGS("andq $~0x100, (%%rsp)\n");
		check(ret == getpid() && steps > 4 && steps < 100);
		steps = 0;
		FLAGS("orq $0x100, (%%rsp)\n");
		ret = call(read_site, -1, &c, 1);
		FLAGS("andq $~0x100, (%%rsp)\n");
		check(ret == -EBADF && steps > 4 && steps < 100);
		steps = 0;
		FLAGS("orq $0x500, (%%rsp)\n");
		p = (char *)syscall(
			SYS_mmap, NULL, 0x1000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		FLAGS("andq $~0x500, (%%rsp)\n");
		check(p != MAP_FAILED && *p == 0 && munmap(p, 0x1000) == 0);
		check(steps > 4 && steps < 100);
		steps = 0;
	}
	alarm(0);
}

/* ---- Others ----------------------------------------------------------------------- */

static void in_child(void (*run)(void))
{
	pid_t child = fork();
	int status;

	check(child >= 0);
	if (child == 0) {
		run();
		_exit(0);
	}
	check(waitpid(child, &status, 0) == child);
	check(status == 0);
}

static void inherited(void)
{
	for (int i = 0; i < SITES; i++) {
		check(patched(sites[i]));
		check(call(sites[i], 0, NULL, 0) == getpid());
	}
}

static void filtered(void)
{
	struct sock_filter deny[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 77),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {4, deny};

	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
	for (int i = 0; i < SITES; i++)
		check(call(sites[i], 0, NULL, 0) == -77);
}

/* A tracer finds the text as it was, steps over it, and sees the calls. */
static void traced(void)
{
	struct user_regs_struct regs;
	unsigned char *site = sites[3];
	pid_t child = fork();
	int status, left = 40;

	if (child == 0) {
		for (;;)
			call(site, 0, NULL, 0);
	}
	usleep(20000);
	check(ptrace(PTRACE_ATTACH, child, NULL, NULL) == 0);
	check(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
	for (int i = 0; i < SITES; i++) {
		long word = ptrace(PTRACE_PEEKTEXT, child, sites[i], NULL);

		check((word & 0xffffffffffffff) == 0x050f00000027b8);
	}
	check((ptrace(PTRACE_PEEKTEXT, child, read_site, NULL) & 0xffffffff) == 0x050fc031);
	/* The mov, the call and what is behind it, each in one step. */
	do {
		check(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0);
		check(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
		check(ptrace(PTRACE_GETREGS, child, NULL, &regs) == 0);
	} while (regs.rip != (uintptr_t)site && left--);
	check(regs.rip == (uintptr_t)site);
	ptrace(PTRACE_SINGLESTEP, child, NULL, NULL);
	waitpid(child, &status, 0);
	ptrace(PTRACE_GETREGS, child, NULL, &regs);
	check(regs.rip == (uintptr_t)site + 5 && regs.rax == SYS_getpid);
	ptrace(PTRACE_SINGLESTEP, child, NULL, NULL);
	waitpid(child, &status, 0);
	ptrace(PTRACE_GETREGS, child, NULL, &regs);
	check(regs.rip == (uintptr_t)site + 7 && regs.rax == (unsigned long)child);
	for (int i = 0; i < 4; i++) {
		ptrace(PTRACE_SYSCALL, child, NULL, NULL);
		waitpid(child, &status, 0);
		ptrace(PTRACE_GETREGS, child, NULL, &regs);
		check(regs.orig_rax == SYS_getpid && regs.rip == (uintptr_t)site + 7);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
}

static void left_alone(void)
{
	check(personality((unsigned)personality(0xffffffff) | UNPATCHED) != -1);
	/* Inherited by exec; the text there is fresh. */
	execl("/proc/self/exe", "patched", "unpatched", (char *)NULL);
}

int main(int argc, char **argv)
{
	/* argv[1]: off - the machine does not patch; unpatched - this process does not want it */
	if (argc > 1) {
		stage = argv[1];
		for (int i = 0; i < SITES; i++) {
			often(sites[i]);
			check(!patched(sites[i]));
		}
		if (strcmp(argv[1], "off") == 0)
			puts("ok");
		return 0;
	}
	in_threads();
	by_read();
	by_syscall();
	registers();
	in_signals();
	restart();
	stepped();
	stage = "fork";
	in_child(inherited);
	stage = "seccomp";
	in_child(filtered);
	stage = "ptrace";
	traced();
	inherited();
	stage = "personality";
	in_child(left_alone);
	puts("ok");
	return 0;
}
