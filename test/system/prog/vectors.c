/* SPDX-License-Identifier: MIT */
/*
 * Vector registers keep their values across system calls, page faults, signals
 * and switches between processes, AVX-512 included where there is any. Prints ok.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 5
#define ROUNDS 400

struct registers {
	unsigned char byte[32][64];
} __attribute__((aligned(64)));

static volatile int alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

#define each16(op)                                                                                 \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13)    \
		op(14) op(15)
#define each32(op)                                                                                 \
	each16(op) op(16) op(17) op(18) op(19) op(20) op(21) op(22) op(23) op(24) op(25) op(26)    \
		op(27) op(28) op(29) op(30) op(31)
#define load_y(n) "vmovdqu " #n "*64(%[in]), %%ymm" #n "\n"
#define save_y(n) "vmovdqu %%ymm" #n ", " #n "*64(%[out])\n"
#define load_z(n) "vmovdqu64 " #n "*64(%[in]), %%zmm" #n "\n"
#define save_z(n) "vmovdqu64 %%zmm" #n ", " #n "*64(%[out])\n"

/* sched_yield, a write to a page that is not there yet, a while of spinning. */
#define disturb                                                                                    \
	"mov $24, %%eax\n syscall\n"                                                               \
	"movb $1, (%[page])\n"                                                                     \
	"mov $2000, %%ecx\n 1: dec %%ecx\n jnz 1b\n"
#define clobbers "rax", "rcx", "r11", "memory", "cc"

__attribute__((target("avx"))) static void with_avx(
	const struct registers *in, struct registers *out, char *page)
{
	__asm__ volatile(each16(load_y) disturb each16(save_y)
			 :
			 : [in] "r"(in), [out] "r"(out), [page] "r"(page)
			 : clobbers, "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
			 "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

__attribute__((target("avx512f"))) static void with_avx512(
	const struct registers *in, struct registers *out, char *page)
{
	__asm__ volatile(each32(load_z) disturb each32(save_z)
			 :
			 : [in] "r"(in), [out] "r"(out), [page] "r"(page)
			 : clobbers, "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
			 "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
			 "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",
			 "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

static int worker(int id)
{
	int wide = __builtin_cpu_supports("avx512f"), count = wide ? 32 : 16, size = wide ? 64 : 32;
	struct itimerval timer = {{0, 1000}, {0, 1000}};
	struct registers in, out;
	char *pages;

	if (!wide && !__builtin_cpu_supports("avx"))
		return 0;
	pages = mmap(
		NULL, ROUNDS * 4096L, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return 2;
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < sizeof(in); i++)
			((unsigned char *)&in)[i] =
				(unsigned char)(i * 7 + (size_t)(round + id * 31));
		memset(&out, 0, sizeof(out));
		if (wide)
			with_avx512(&in, &out, pages + round * 4096L);
		else
			with_avx(&in, &out, pages + round * 4096L);
		for (int r = 0; r < count; r++)
			if (memcmp(in.byte[r], out.byte[r], (size_t)size) != 0)
				return 1;
	}
	return 0;
}

int main(void)
{
	int status, bad = 0;

	for (int i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			_exit(worker(i));
	for (int i = 0; i < PROCESSES; i++) {
		wait(&status);
		bad |= status;
	}
	puts(bad ? "a register changed" : "ok");
	return bad != 0;
}
