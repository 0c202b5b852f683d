/* SPDX-License-Identifier: MIT */
/* What is special for programs that run in a space of their own. Prints ok. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define check(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			printf("line %d: %s\n", __LINE__, #what);                                  \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static sigjmp_buf back;
static volatile int alarms;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* The kernel is not there: neither to read, nor to write, nor to execute. */
static void reach(uintptr_t at)
{
	if (!sigsetjmp(back, 1)) {
		(void)*(volatile char *)at;
		check(!"read");
	}
	if (!sigsetjmp(back, 1)) {
		*(volatile char *)at = 0;
		check(!"written");
	}
	if (!sigsetjmp(back, 1)) {
		((void (*)(void))at)();
		check(!"executed");
	}
}

/* Host system calls, from where this space may make some: it is the program that ends. */
static void host_calls(void)
{
	static const long calls[] = {SYS_getpid, SYS_rt_sigreturn, SYS_exit_group, SYS_mmap,
		SYS_write, SYS_munmap, SYS_getppid};
	uintptr_t text = 0x70000000f000, at;
	int status;

	for (at = text; memcmp((void *)at, "\x0f\x05", 2); at++)
		;
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		pid_t pid = fork();

		if (pid == 0) {
			signal(SIGSEGV, SIG_DFL);
			__asm__ volatile("jmp *%0"
					 :
					 : "r"(at), "a"(calls[i]), "D"(11), "S"(1), "d"(1));
		}
		check(waitpid(pid, &status, 0) == pid);
		check(WIFSIGNALED(status) || WIFSTOPPED(status));
	}
}

/* Signals in quick succession, and registers that none of them changes. */
static void signals(void)
{
	struct itimerval often = {{0, 200}, {0, 200}}, off = {0};
	double x = 1.5, y = 1.5;

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &often, NULL);
	while (alarms < 300) {
		x = x * 1.0000001 + 0.25;
		y = y * 1.0000001 + 0.25;
		check(x == y);
		if (x > 1e6)
			x = y = 1.5;
	}
	setitimer(ITIMER_REAL, &off, NULL);
}

static void clocks(void)
{
	struct timespec a, b;
	unsigned cpu, node;

	check(clock_gettime(CLOCK_MONOTONIC, &a) == 0);
	for (int i = 0; i < 1000; i++) {
		check(clock_gettime(CLOCK_MONOTONIC, &b) == 0);
		check(b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
		a = b;
		check(getcpu(&cpu, &node) == 0 && (long)cpu < sysconf(_SC_NPROCESSORS_CONF));
	}
}

static void ring(void)
{
	struct io_uring_params p = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 4, &p);
	char *sq, *cq;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;

	check(fd >= 0);
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*cqe), PROT_READ | PROT_WRITE,
		MAP_SHARED, fd, IORING_OFF_CQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		IORING_OFF_SQES);
	check(sq != MAP_FAILED && cq != MAP_FAILED && (void *)sqe != MAP_FAILED);
	cqe = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	for (unsigned i = 0; i < 100; i++) {
		unsigned mask = *(unsigned *)(sq + p.sq_off.ring_mask);

		sqe[i & mask] = (struct io_uring_sqe){.opcode = IORING_OP_NOP, .user_data = i};
		((unsigned *)(sq + p.sq_off.array))[i & mask] = i & mask;
		__atomic_store_n((unsigned *)(sq + p.sq_off.tail), i + 1, __ATOMIC_RELEASE);
		check(syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1);
		check(__atomic_load_n((unsigned *)(cq + p.cq_off.tail), __ATOMIC_ACQUIRE) == i + 1);
		check(cqe[i & *(unsigned *)(cq + p.cq_off.ring_mask)].user_data == i);
		__atomic_store_n((unsigned *)(cq + p.cq_off.head), i + 1, __ATOMIC_RELEASE);
	}
	close(fd);
}

/* Each step is one instruction, over system calls and CPUID too. */
static void steps(void)
{
	struct user_regs_struct regs;
	uintptr_t start, rip[8];
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		__asm__ volatile("int3\nmov $39, %%eax\nsyscall\nxor %%eax, %%eax\ncpuid\nnop\nnop"
				 :
				 :
				 : "rax", "rbx", "rcx", "rdx", "r11", "memory");
		_exit(7);
	}
	check(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	for (int i = 0; i < 7; i++) {
		check(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
		rip[i] = regs.rip;
		if (i == 2)
			check(regs.rax == (unsigned long)pid);
		check(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
		check(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	}
	start = rip[0];
	check(rip[1] == start + 5 && rip[2] == start + 7 && rip[3] == start + 9);
	check(rip[4] == start + 11 && rip[5] == start + 12 && rip[6] == start + 13);
	check(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
	check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

int main(void)
{
	static const uintptr_t kernel[] = {0x400000000000, 0x71000000, 0x7fff8000, 0x7fffe000,
		0x480000000000, 0x700000000000, 0x700000300000, 0x700000400000, 0x700000500000};

	signal(SIGSEGV, on_fault);
	for (unsigned i = 0; i < sizeof(kernel) / sizeof(kernel[0]); i++)
		reach(kernel[i]);
	host_calls();
	signals();
	clocks();
	ring();
	steps();
	puts("ok");
	return 0;
}
