/* SPDX-License-Identifier: MIT */
/*
 * Both ends of what bench/io.sh measures on a network:
 *   net serve PORT         answers bytes, and takes in what comes in larger pieces
 *   net rr ADDRESS PORT    nanoseconds for a byte there and back
 *   net bulk ADDRESS PORT  nanoseconds for 1 GiB there
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TURNS 5000
#define GIB (1ULL << 30)
#define TRIES 100

static char buffer[128 << 10];

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void at_once(int fd)
{
	const int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* A byte is answered; the end of the input too, so that its sender knows that all is there. */
static void answer(int fd)
{
	ssize_t n;

	at_once(fd);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		if (n == 1 && write(fd, buffer, 1) != 1)
			break;
	if (n == 0 && write(fd, "", 1) < 0)
		perror("answer");
	close(fd);
}

static int serve(const struct sockaddr_in *a)
{
	const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = a->sin_port};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, peer;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 8) < 0) {
		perror("serve");
		return 1;
	}
	while ((peer = accept(fd, NULL, NULL)) >= 0)
		answer(peer);
	return 1;
}

static int reach(const struct sockaddr_in *a)
{
	for (int i = 0; i < TRIES; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0)
			return fd;
		close(fd);
		usleep(100000);
	}
	perror("connect");
	exit(1);
}

static int turns(int fd)
{
	uint64_t begin = 0;

	at_once(fd);
	for (int i = -TURNS / 10; i < TURNS; i++) {
		if (i == 0)
			begin = now();
		if (write(fd, "x", 1) != 1 || read(fd, buffer, 1) != 1)
			return 1;
	}
	printf("%.0f\n", (double)(now() - begin) / TURNS);
	return 0;
}

static int bulk(int fd)
{
	uint64_t begin = now();

	for (uint64_t left = GIB; left > 0;) {
		ssize_t n = write(fd, buffer, left < sizeof(buffer) ? left : sizeof(buffer));

		if (n <= 0)
			return 1;
		left -= (uint64_t)n;
	}
	shutdown(fd, SHUT_WR);
	if (read(fd, buffer, 1) != 1)
		return 1;
	printf("%.0f\n", (double)(now() - begin));
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET};

	if (argc < 3)
		return 2;
	a.sin_port = htons((uint16_t)atoi(argv[argc - 1]));
	if (strcmp(argv[1], "serve") == 0)
		return serve(&a);
	if (inet_pton(AF_INET, argv[2], &a.sin_addr) != 1)
		return 2;
	return strcmp(argv[1], "rr") == 0 ? turns(reach(&a)) : bulk(reach(&a));
}
