/* SPDX-License-Identifier: MIT */
/* The guest's second CPU. */
#include "fuzz/second_cpu.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#define FLIPS_MAX 8

static struct {
	volatile uint8_t *byte;
	uint8_t mask;
} flips[FLIPS_MAX];
static unsigned count; /* atomic; what is below it does not change */
static sem_t wanted, done;

/* libFuzzer's alarm interrupts it. */
static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) < 0)
		if (errno != EINTR)
			abort();
}

static void *run(void *arg)
{
	for (;;) {
		unsigned n;

		wait_for(&wanted);
		while ((n = __atomic_load_n(&count, __ATOMIC_ACQUIRE)) > 0)
			for (unsigned i = 0; i < n; i++)
				*flips[i].byte ^= flips[i].mask;
		sem_post(&done);
	}
	return arg;
}

void second_cpu_init(void)
{
	pthread_t thread;

	if (sem_init(&wanted, 0, 0) < 0 || sem_init(&done, 0, 0) < 0 ||
		pthread_create(&thread, NULL, run, NULL) != 0)
		abort();
}

void second_cpu_flip(volatile uint8_t *byte, uint8_t mask)
{
	if (count == FLIPS_MAX)
		return;
	flips[count].byte = byte;
	flips[count].mask = mask;
	__atomic_store_n(&count, count + 1, __ATOMIC_RELEASE);
	if (count == 1)
		sem_post(&wanted);
}

void second_cpu_rest(void)
{
	if (count == 0)
		return;
	__atomic_store_n(&count, 0, __ATOMIC_RELEASE);
	wait_for(&done);
}
