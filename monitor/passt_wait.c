/* SPDX-License-Identifier: MIT */
/*
 * passt takes some 30 MiB and 10 ms of a CPU when it starts, and most machines that have a
 * network by default never use it. What is to become passt waits here, a process as small as
 * a fork is, for the guest's first frame that can lead to anything.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "monitor/network.h"

#define LENGTH 4 /* before each frame, big endian */
#define ETHERTYPE (LENGTH + 12)
#define IP6 (LENGTH + 14)
#define NEXT_HEADER (IP6 + 6)
#define SOURCE (IP6 + 8)
#define PAYLOAD (IP6 + 40)

/*
 * IPv6 says these of itself whenever a card comes up, and needs no answer: whether an address
 * is taken, which groups are listened to (behind a hop-by-hop header), and is there a router.
 */
static bool is_routine(const uint8_t *frame, size_t n)
{
	static const uint8_t any[16];

	if (n <= PAYLOAD || frame[ETHERTYPE] != 0x86 || frame[ETHERTYPE + 1] != 0xdd)
		return false;
	return memcmp(&frame[SOURCE], any, sizeof(any)) == 0 || frame[NEXT_HEADER] == 0 ||
	       (frame[NEXT_HEADER] == IPPROTO_ICMPV6 && frame[PAYLOAD] == 133);
}

/* Takes a frame's bytes away. */
static bool drop(int fd, size_t n)
{
	uint8_t bytes[2048];

	while (n > 0) {
		ssize_t r = recv(fd, bytes, n < sizeof(bytes) ? n : sizeof(bytes), 0);

		if (r <= 0)
			return false;
		n -= (size_t)r;
	}
	return true;
}

bool passt_wanted(int fd)
{
	uint8_t start[PAYLOAD + 1];
	uint32_t length;

	prctl(PR_SET_NAME, "lucid-passt");
	for (;;) {
		ssize_t n = recv(fd, start, LENGTH, MSG_PEEK);

		/* Half a frame: passt waits for the rest as well as this would. */
		if (n < LENGTH)
			return n > 0;
		memcpy(&length, start, LENGTH);
		length = ntohl(length);
		/* What is too short for IPv6 is ARP or nonsense: either is for passt. */
		if (length < sizeof(start) - LENGTH)
			return true;
		n = recv(fd, start, sizeof(start), MSG_PEEK);
		if (n < (ssize_t)sizeof(start) || !is_routine(start, (size_t)n))
			return n > 0;
		if (!drop(fd, LENGTH + (size_t)length))
			return false;
	}
}
