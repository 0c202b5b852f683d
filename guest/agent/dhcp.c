/* SPDX-License-Identifier: MIT */
/*
 * A DHCP client (RFC 2131) for one card: a process that gets an address, tells the
 * agent, and goes on to renew the lease. A renewal asks again from the start of the
 * request: servers answer it with the same address.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent/agent.h"

#define FIRST_MS 6000 /* what the agent waits for the first lease */
#define ANSWER_MS 1000 /* doubled with each attempt */
#define ATTEMPTS 4
#define AGAIN_SECONDS 30 /* without an answer */
#define RENEW_MIN 30

enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5, NAK = 6 };

enum {
	OPTION_MASK = 1,
	OPTION_ROUTER = 3,
	OPTION_DNS = 6,
	OPTION_ADDRESS = 50,
	OPTION_LEASE = 51,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_PARAMETERS = 55,
	OPTION_END = 255,
};

struct packet {
	uint8_t op, htype, hlen, hops;
	uint32_t xid;
	uint16_t secs, flags;
	uint8_t ciaddr[4], yiaddr[4], siaddr[4], giaddr[4];
	uint8_t chaddr[16], sname[64], file[128];
	uint8_t cookie[4];
	uint8_t options[312];
} __attribute__((packed));

static const uint8_t cookie[4] = {99, 130, 83, 99};

struct lease {
	uint8_t address[4], mask[4], router[4], dns[4], server[4];
	uint32_t seconds;
};

struct client {
	int socket;
	unsigned card;
	const char *name;
	uint8_t mac[6];
	uint32_t xid;
};

static size_t put_option(uint8_t *at, uint8_t code, const void *data, uint8_t len)
{
	at[0] = code;
	at[1] = len;
	memcpy(at + 2, data, len);
	return len + 2U;
}

static void send_packet(const struct client *c, uint8_t type, const struct lease *lease)
{
	static const uint8_t wanted[] = {OPTION_MASK, OPTION_ROUTER, OPTION_DNS, OPTION_LEASE};
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(67),
		.sin_addr.s_addr = htonl(INADDR_BROADCAST)};
	struct packet p = {.op = 1, .htype = 1, .hlen = 6, .xid = c->xid, .flags = htons(0x8000)};
	uint8_t *at = p.options;

	memcpy(p.chaddr, c->mac, 6);
	memcpy(p.cookie, cookie, sizeof(cookie));
	at += put_option(at, OPTION_TYPE, &type, 1);
	if (type == REQUEST) {
		at += put_option(at, OPTION_ADDRESS, lease->address, 4);
		at += put_option(at, OPTION_SERVER, lease->server, 4);
	}
	at += put_option(at, OPTION_PARAMETERS, wanted, sizeof(wanted));
	*at++ = OPTION_END;
	sendto(c->socket, &p, (size_t)(at - (uint8_t *)&p), 0, (struct sockaddr *)&to, sizeof(to));
}

static void take_option(struct lease *l, uint8_t code, const uint8_t *data, uint8_t len)
{
	uint8_t *to = code == OPTION_MASK     ? l->mask
		      : code == OPTION_ROUTER ? l->router
		      : code == OPTION_DNS    ? l->dns
		      : code == OPTION_SERVER ? l->server
					      : NULL;

	if (to && len >= 4)
		memcpy(to, data, 4);
	if (code == OPTION_LEASE && len == 4) {
		memcpy(&l->seconds, data, 4);
		l->seconds = ntohl(l->seconds);
	}
}

/* The message type of an answer to us, whose contents go to lease; 0: none. */
static uint8_t parse(const struct client *c, const struct packet *p, size_t len, struct lease *l)
{
	const size_t head = offsetof(struct packet, options);
	uint8_t type = 0;

	if (len < head || p->op != 2 || p->xid != c->xid || memcmp(p->chaddr, c->mac, 6) != 0 ||
		memcmp(p->cookie, cookie, sizeof(cookie)) != 0)
		return 0;
	memset(l, 0, sizeof(*l));
	memcpy(l->address, p->yiaddr, 4);
	for (size_t i = 0; i + 2 < len - head && p->options[i] != OPTION_END;) {
		const uint8_t *o = p->options + i;

		if (o[0] == 0) {
			i++;
			continue;
		}
		if (i + 2 + o[1] > len - head)
			break;
		if (o[0] == OPTION_TYPE && o[1] == 1)
			type = o[2];
		take_option(l, o[0], o + 2, o[1]);
		i += 2U + o[1];
	}
	return type;
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Sends until there is an answer of that type (or NAK); false: there is none. */
static bool exchange(struct client *c, uint8_t send, uint8_t expect, struct lease *lease)
{
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		long end = now_ms() + (ANSWER_MS << attempt), left;

		send_packet(c, send, lease);
		while ((left = end - now_ms()) > 0) {
			struct pollfd p = {.fd = c->socket, .events = POLLIN};
			struct packet answer;
			struct lease got;
			ssize_t n;
			uint8_t type;

			if (poll(&p, 1, (int)left) <= 0)
				break;
			n = recv(c->socket, &answer, sizeof(answer), 0);
			type = n > 0 ? parse(c, &answer, (size_t)n, &got) : 0;
			if (type == NAK && send == REQUEST)
				return false;
			if (type == expect) {
				*lease = got;
				return true;
			}
		}
	}
	return false;
}

static bool open_socket(struct client *c)
{
	const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(68)};
	const int one = 1;

	c->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return c->socket >= 0 &&
	       setsockopt(c->socket, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) == 0 &&
	       setsockopt(c->socket, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	       setsockopt(c->socket, SOL_SOCKET, SO_BINDTODEVICE, c->name, strlen(c->name)) == 0 &&
	       bind(c->socket, (const struct sockaddr *)&any, sizeof(any)) == 0;
}

static bool get_lease(struct client *c, struct lease *lease)
{
	bool ok;

	if (getrandom(&c->xid, sizeof(c->xid), 0) != sizeof(c->xid) || !open_socket(c)) {
		system_log("%s: no DHCP: %s", c->name, strerror(errno));
		if (c->socket >= 0)
			close(c->socket);
		return false;
	}
	ok = exchange(c, DISCOVER, OFFER, lease) && exchange(c, REQUEST, ACK, lease);
	close(c->socket);
	return ok;
}

static unsigned prefix_of(const uint8_t mask[4])
{
	uint32_t m;

	memcpy(&m, mask, sizeof(m));
	return m ? (unsigned)__builtin_popcount(m) : 24;
}

static void apply(const struct client *c, const struct lease *l)
{
	static const uint8_t none[4];

	if (!network_add_address(c->card, AF_INET, l->address, prefix_of(l->mask)))
		system_log("%s: cannot set its address: %s", c->name, strerror(errno));
	else if (memcmp(l->router, none, 4) != 0 &&
		 !network_add_gateway(c->card, AF_INET, l->router))
		system_log("%s: cannot set its gateway: %s", c->name, strerror(errno));
}

static _Noreturn void serve_leases(struct client *c, int report)
{
	struct lease lease;

	prctl(PR_SET_NAME, "agent-dhcp");
	for (;;) {
		uint32_t seconds = AGAIN_SECONDS;

		if (get_lease(c, &lease)) {
			apply(c, &lease);
			if (report >= 0 && write(report, lease.dns, 4) < 0)
				system_log("%s: %s", c->name, strerror(errno));
			if (report >= 0)
				close(report);
			report = -1;
			seconds = lease.seconds / 2 > RENEW_MIN ? lease.seconds / 2 : RENEW_MIN;
		}
		sleep(seconds);
	}
}

void dhcp_start(unsigned card, const char *name, const uint8_t mac[6], char server[64])
{
	struct client c = {.socket = -1, .card = card, .name = name};
	uint8_t dns[4] = {0};
	struct pollfd p;
	int fds[2];
	pid_t pid;

	server[0] = '\0';
	memcpy(c.mac, mac, 6);
	if (pipe(fds) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		serve_leases(&c, fds[1]);
	}
	close(fds[1]);
	p = (struct pollfd){.fd = fds[0], .events = POLLIN};
	if (pid < 0 || poll(&p, 1, FIRST_MS) <= 0 || read(fds[0], dns, 4) != 4)
		system_log("%s: no DHCP server has answered yet", name);
	else if (dns[0])
		inet_ntop(AF_INET, dns, server, 64);
	close(fds[0]);
}
