/* SPDX-License-Identifier: MIT */
/*
 * Memory mappings as a program sees them: protections that hold, copy on write
 * that copies, memory that is fresh after munmap. Prints ok, else the line that
 * failed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define WINDOW_BASE 0x70000000UL /* where no user mapping may be */
#define WINDOW_END 0x80000000UL

#define must(what)                                                                                 \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			printf("line %d: %s\n", __LINE__, #what);                                  \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static sigjmp_buf back;
static void *fault_addr;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	fault_addr = info->si_addr;
	siglongjmp(back, sig);
}

/* The signal that an access raises, 0: none. */
static int read_signal(volatile char *p)
{
	int sig = sigsetjmp(back, 1);

	if (sig == 0)
		(void)*p;
	return sig;
}

static int write_signal(volatile char *p)
{
	int sig = sigsetjmp(back, 1);

	if (sig == 0)
		*p = 1;
	return sig;
}

static char *anonymous(size_t size, int prot)
{
	char *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED);
	return p;
}

static void protections(void)
{
	char *p = anonymous(4 * PAGE, PROT_READ | PROT_WRITE);

	memset(p, 7, 4 * PAGE);
	must(mprotect(p + PAGE, PAGE, PROT_READ) == 0);
	must(write_signal(p + PAGE + 5) == SIGSEGV);
	must(fault_addr == p + PAGE + 5);
	must(p[PAGE + 5] == 7);
	must(write_signal(p + 2 * PAGE) == 0);
	must(mprotect(p + PAGE, PAGE, PROT_NONE) == 0);
	must(read_signal(p + PAGE) == SIGSEGV);
	must(mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
	must(write_signal(p + PAGE) == 0 && p[PAGE + 5] == 7);
	must(munmap(p + 3 * PAGE, PAGE) == 0);
	must(read_signal(p + 3 * PAGE) == SIGSEGV);
	must(munmap(p, 3 * PAGE) == 0);
	must(read_signal(NULL) == SIGSEGV);
}

/* No access to the kernel and the stub, whose memory shares the address space. */
static void kernel_memory(void)
{
	static const unsigned long kept[] = {
		0x7fff0000, /* console */
		0x7fff8000, /* information page */
		0x7fffe000, /* vCPU page */
		0x400000000000, /* direct map, start */
		0x400000100000, /* direct map, in use */
		0x500000000000, /* vmalloc */
		0x700000300000, /* the stub's stack */
		0x700000400000, /* what the spaces share */
	};

	for (unsigned long a = WINDOW_BASE; a < WINDOW_END; a += 0x1000000)
		must(read_signal((char *)a) == SIGSEGV && write_signal((char *)a) == SIGSEGV);
	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		must(read_signal((char *)kept[i]) == SIGSEGV);
		must(fault_addr == (char *)kept[i]);
		must(write_signal((char *)kept[i]) == SIGSEGV);
	}
	/* The stub's text and the space's own page may be read. */
	must(write_signal((char *)0x700000000000) == SIGSEGV);
	must(read_signal((char *)0x700000200000) == 0);
	must(write_signal((char *)0x700000200000) == SIGSEGV);
}

static void execution(void)
{
	static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42,%eax; ret */
	char *p = anonymous(PAGE, PROT_READ | PROT_WRITE);
	int (*fn)(void) = (int (*)(void))p;

	memcpy(p, code, sizeof(code));
	if (sigsetjmp(back, 1) == 0) {
		fn();
		must(!"data is not executable");
	}
	must(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == 0);
	must(fn() == 42);
	must(munmap(p, PAGE) == 0);
}

static void fresh_memory(void)
{
	for (int i = 0; i < 200; i++) {
		char *p = anonymous(16 * PAGE, PROT_READ | PROT_WRITE);

		for (size_t k = 0; k < 16 * PAGE; k += 512)
			must(p[k] == 0);
		memset(p, i + 1, 16 * PAGE);
		must(munmap(p, 16 * PAGE) == 0);
	}
}

static void copy_on_write(void)
{
	size_t size = 256 * PAGE;
	char *own = anonymous(size, PROT_READ | PROT_WRITE);
	char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	memset(own, 1, size);
	for (int round = 0; round < 20; round++) {
		pid_t pid = fork();

		must(pid >= 0);
		if (pid == 0) {
			for (size_t k = 0; k < size; k += PAGE) {
				must(own[k] == 1);
				own[k] = 2;
			}
			shared[0]++;
			_exit(0);
		}
		must(waitpid(pid, &status, 0) == pid && status == 0);
		for (size_t k = 0; k < size; k += PAGE)
			must(own[k] == 1);
	}
	must(shared[0] == 20);
}

static void places(void)
{
	unsigned long low;
	char *p;

	/* A wish for the window is not granted, a demand is refused. */
	p = mmap((void *)(WINDOW_BASE + 0x100000), PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);
	must(p == MAP_FAILED || (unsigned long)p < WINDOW_BASE || (unsigned long)p >= WINDOW_END);
	p = mmap((void *)(WINDOW_BASE + 0x100000), PAGE, PROT_READ,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	must(p == MAP_FAILED);
	for (int i = 0; i < 100; i++) {
		p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
		low = (unsigned long)p;
		must(p == MAP_FAILED || low + (1 << 20) <= WINDOW_BASE ||
			(low >= WINDOW_END && low < 1UL << 32));
		if (p != MAP_FAILED)
			*p = 1;
	}
	p = mmap((void *)0x12340000, PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	must(p == (char *)0x12340000 && write_signal(p) == 0);
}

static void kernel_pointers(void)
{
	int fds[2], from;

	/* No system call takes a pointer into the kernel. */
	must(pipe((int *)(WINDOW_BASE + 0x1800000)) == -1);
	must(pipe((int *)0x400000100000UL) == -1);
	must(pipe(fds) == 0);
	must(write(fds[1], (void *)(WINDOW_BASE + 0x1000000), 8) == -1);
	must(write(fds[1], (void *)0x400000001000UL, 8) == -1);
	must(write(fds[1], "x", 1) == 1);
	must(read(fds[0], (void *)(WINDOW_BASE + 0x1800000), 1) == -1);
	must(open((char *)(WINDOW_BASE + 0x1000000), O_RDONLY) == -1);
	/* Nor a range that begins or ends outside it. */
	from = open("/dev/zero", O_RDONLY);
	must(from >= 0);
	must(read(from, (void *)(WINDOW_END - 0x2000), 0x4000) == -1);
	must(read(from, (void *)(WINDOW_BASE - 0x2000), 0x2000000) == -1);
	must(read(from, (void *)(WINDOW_BASE - 0x2000), WINDOW_END) == -1);
	close(from);
}

/* A stack may not grow into the window either. */
static void growing_stack(void)
{
	char *p = mmap((void *)WINDOW_END, PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);

	must(p == (char *)WINDOW_END);
	must(write_signal(p) == 0);
	must(write_signal(p - PAGE) == SIGSEGV);
	munmap(p, PAGE);
}

static void moved(void)
{
	char *p = anonymous(8 * PAGE, PROT_READ | PROT_WRITE), *q;

	for (int i = 0; i < 8; i++)
		p[i * PAGE] = (char)i;
	q = mremap(p, 8 * PAGE, 4096 * PAGE, MREMAP_MAYMOVE);
	must(q != MAP_FAILED);
	for (int i = 0; i < 8; i++)
		must(q[i * PAGE] == i);
	must(q[4095 * PAGE] == 0);
	must(madvise(q, 4 * PAGE, MADV_DONTNEED) == 0);
	must(q[PAGE] == 0 && q[5 * PAGE] == 5);
}

/* With the argument "no-keys" the host has no protection keys: no wall to the kernel then. */
int main(int argc, char **argv)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};

	sigaction(SIGSEGV, &action, NULL);
	protections();
	execution();
	fresh_memory();
	copy_on_write();
	places();
	if (argc < 2 || strcmp(argv[1], "no-keys") != 0)
		kernel_memory();
	kernel_pointers();
	growing_stack();
	moved();
	puts("ok");
	return 0;
}
