/* SPDX-License-Identifier: MIT */
/*
 * The same guest with a second CPU, which changes bytes of its memory all the time: whatever a
 * device reads twice is different the second time.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "fuzz/guest.h"
#include "fuzz/input.h"

#define FLIPS_MAX 8
#define TURNS 8 /* of each program: the second CPU has to hit the moment */

static struct {
	volatile uint8_t *byte;
	uint8_t mask;
} flips[FLIPS_MAX];
static unsigned count; /* atomic; what is below it does not change */
static sem_t wanted, done;

static void *second_cpu(void *arg)
{
	for (;;) {
		unsigned n;

		sem_wait(&wanted);
		while ((n = __atomic_load_n(&count, __ATOMIC_ACQUIRE)) > 0)
			for (unsigned i = 0; i < n; i++)
				*flips[i].byte ^= flips[i].mask;
		sem_post(&done);
	}
	return arg;
}

static void flip(volatile uint8_t *byte, uint8_t mask)
{
	if (count == FLIPS_MAX)
		return;
	flips[count].byte = byte;
	flips[count].mask = mask;
	__atomic_store_n(&count, count + 1, __ATOMIC_RELEASE);
	if (count == 1)
		sem_post(&wanted);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	pthread_t thread;

	(void)argc;
	(void)argv;
	guest_init();
	if (sem_init(&wanted, 0, 0) < 0 || sem_init(&done, 0, 0) < 0 ||
		pthread_create(&thread, NULL, second_cpu, NULL) != 0)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (unsigned i = 0; i < TURNS; i++)
		guest_run(data, size, flip);
	if (count > 0) {
		__atomic_store_n(&count, 0, __ATOMIC_RELEASE);
		sem_wait(&done);
	}
	guest_wipe();
	return 0;
}
