/* SPDX-License-Identifier: MIT */
/* Threads: mutex, condition, barrier, thread-local data and many short lives. Prints ok. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 8
#define ROUNDS 2000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static long counter;
static int turn;
static __thread long own;

static void *worker(void *arg)
{
	int id = (int)(long)arg;

	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
		own++;
	}
	pthread_barrier_wait(&barrier);
	/* The turn goes round. */
	for (int i = 0; i < 20; i++) {
		pthread_mutex_lock(&mutex);
		while (turn != id)
			pthread_cond_wait(&cond, &mutex);
		turn = (turn + 1) % THREADS;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return (void *)own;
}

static void *short_life(void *arg)
{
	return arg;
}

int main(void)
{
	pthread_t threads[THREADS];
	void *result;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, worker, (void *)i))
			return 1;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		if ((long)result != ROUNDS)
			return 2;
	}
	if (counter != THREADS * ROUNDS)
		return 3;
	for (long i = 0; i < 500; i++) {
		if (pthread_create(&threads[0], NULL, short_life, (void *)i))
			return 4;
		pthread_join(threads[0], &result);
		if ((long)result != i)
			return 5;
	}
	puts("ok");
	return 0;
}
