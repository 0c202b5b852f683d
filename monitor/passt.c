/* SPDX-License-Identifier: MIT */
/*
 * passt behind a card: connections of the guest become sockets of an ordinary
 * process of the host. It confines itself (namespaces, seccomp), and ends when
 * the monitor's end of its socket does, however that happens.
 *
 * The guest's addresses are ours to choose, so it is told them with everything
 * else, and nobody waits for a DHCP server. passt is one all the same.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/network.h"

#define IP4 "10.0.2.15"
#define GATEWAY4 "10.0.2.2"
#define DNS4 "10.0.2.3"
#define PREFIX4 24
#define IP6 "fd4c:7563:6964::15"
#define GATEWAY6 "fd4c:7563:6964::2"
#define DNS6 "fd4c:7563:6964::3"
#define PREFIX6 64

#define BUFFER (1 << 20) /* of the socket: a few of the longest frames */
#define READY_MS 5000
#define ARGS_MAX 32
#define SPEC 80

/* ---- The host ---------------------------------------------------------------- */

/* Whether the host has a way out; nothing is sent. The addresses are those of documentation. */
static bool has_route(int family)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	inet_pton(AF_INET, "198.51.100.1", &in.sin_addr);
	inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr);
	if (fd < 0)
		return false;
	r = family == AF_INET ? connect(fd, (struct sockaddr *)&in, sizeof(in))
			      : connect(fd, (struct sockaddr *)&in6, sizeof(in6));
	close(fd);
	return r == 0;
}

/* Tries to have a port of the host, as passt will: it does not tell when it cannot. 0 or -errno. */
static int try_port(const struct vm_publish *p)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(p->host)};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(p->host)};
	bool six = strchr(p->address, ':');
	const int one = 1;
	int fd, r = 0;

	if (p->address[0] && (six ? inet_pton(AF_INET6, p->address, &in6.sin6_addr)
				  : inet_pton(AF_INET, p->address, &in.sin_addr)) != 1)
		return -EINVAL;
	fd = socket(
		six ? AF_INET6 : AF_INET, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* What was closed a moment ago does not count. */
	if (!p->udp)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if ((six ? bind(fd, (struct sockaddr *)&in6, sizeof(in6))
		 : bind(fd, (struct sockaddr *)&in, sizeof(in))) < 0)
		r = -errno;
	close(fd);
	return r;
}

static bool ports_free(const struct vm_config *config, const char **why)
{
	static char text[160];

	for (unsigned i = 0; i < config->publishes; i++) {
		const struct vm_publish *p = &config->publish[i];
		int r = try_port(p);

		if (r == 0)
			continue;
		snprintf(text, sizeof(text), "%s port %u of the host cannot be published: %s",
			p->udp ? "UDP" : "TCP", p->host,
			r == -EADDRINUSE      ? "it is taken; choose another one"
			: r == -EACCES	      ? "no permission; choose one above 1023"
			: r == -EINVAL	      ? "its address is none; give one of the host"
			: r == -EADDRNOTAVAIL ? "its address is not the host's; give one that is"
					      : strerror(-r));
		*why = text;
		return false;
	}
	return true;
}

/* ---- passt ------------------------------------------------------------------- */

struct args {
	const char *arg[ARGS_MAX + 2 * VM_PUBLISH_MAX];
	unsigned n;
	char spec[VM_PUBLISH_MAX][SPEC];
};

static void add(struct args *a, const char *option, const char *value)
{
	a->arg[a->n++] = option;
	if (value)
		a->arg[a->n++] = value;
}

static void add_ports(struct args *a, const struct vm_config *config)
{
	bool udp = false;

	for (unsigned i = 0; i < config->publishes; i++) {
		const struct vm_publish *p = &config->publish[i];

		snprintf(a->spec[i], SPEC, "%s%s%u:%u", p->address, p->address[0] ? "/" : "",
			p->host, p->guest);
		add(a, p->udp ? "-u" : "-t", a->spec[i]);
		udp |= p->udp;
	}
	/* Or UDP would follow TCP. */
	if (!udp)
		add(a, "-u", "none");
}

/* At once where it is said to be used, else when the guest first uses it. */
static int run(const struct vm_config *config, bool four, bool six, bool at_once,
	struct helpers *helpers, int fd, int *errors)
{
	struct args a = {.arg = {"passt", "--foreground", "--quiet", "--stderr", "--fd", "3",
				 "--mtu", "65520", "--no-map-gw"},
		.n = 9};

	if (four) {
		add(&a, "--address", IP4);
		add(&a, "--netmask", "24");
		add(&a, "--gateway", GATEWAY4);
		add(&a, "--dns-forward", DNS4);
	}
	if (six) {
		add(&a, "--address", IP6);
		add(&a, "--gateway", GATEWAY6);
		add(&a, "--dns-forward", DNS6);
	}
	if (!four || !six)
		add(&a, four ? "--ipv4-only" : "--ipv6-only", NULL);
	add_ports(&a, config);
	return helper_start(helpers, a.arg, fd, errors, at_once ? NULL : passt_wanted);
}

static void describe(struct agent_net *guest, bool four, bool six)
{
	if (four) {
		guest->flags |= AGENT_NET_IP4;
		guest->prefix4 = PREFIX4;
		inet_pton(AF_INET, IP4, guest->ip4);
		inet_pton(AF_INET, GATEWAY4, guest->gateway4);
		inet_pton(AF_INET, DNS4, guest->dns4);
	}
	if (six) {
		guest->flags |= AGENT_NET_IP6;
		guest->prefix6 = PREFIX6;
		inet_pton(AF_INET6, IP6, guest->ip6);
		inet_pton(AF_INET6, GATEWAY6, guest->gateway6);
		inet_pton(AF_INET6, DNS6, guest->dns6);
	}
}

/* An ARP request for the gateway; passt answers once it is up, ports and all. */
static bool ask(int fd, const uint8_t mac[6])
{
	static const uint8_t arp[10] = {0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1};
	uint8_t frame[4 + 42] = {0, 0, 0, 42, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	memcpy(frame + 10, mac, 6);
	memcpy(frame + 16, arp, sizeof(arp));
	memcpy(frame + 26, mac, 6);
	inet_pton(AF_INET, IP4, frame + 32);
	inet_pton(AF_INET, GATEWAY4, frame + 42);
	return write(fd, frame, sizeof(frame)) == sizeof(frame);
}

/* Reads exactly n bytes, waiting for a while; false: it has ended or says nothing. */
static bool read_all(int fd, uint8_t *data, size_t n)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (n > 0) {
		if (poll(&p, 1, READY_MS) <= 0)
			return false;
		ssize_t r = read(fd, data, n);

		if (r == 0 || (r < 0 && errno != EAGAIN))
			return false;
		if (r > 0) {
			data += r;
			n -= (size_t)r;
		}
	}
	return true;
}

/* Whoever asked for the network is told now if passt does not come up. */
static bool is_up(int fd, const uint8_t mac[6])
{
	uint8_t length[4], answer[1514];
	uint32_t n;

	if (!ask(fd, mac) || !read_all(fd, length, sizeof(length)))
		return false;
	memcpy(&n, length, sizeof(n));
	n = ntohl(n);
	return n <= sizeof(answer) && read_all(fd, answer, n);
}

static struct net_link *start(const struct vm_config *config, struct vm_net *net,
	struct helpers *helpers, int *errors, const char **why)
{
	bool four = has_route(AF_INET), six = has_route(AF_INET6);
	static char text[HELPER_LINE + 40];
	const int buffer = BUFFER;
	int fd[2], r;

	if (!four && !six) {
		*why = "this host has no default route; give it one, or use --net none";
		return NULL;
	}
	if (!ports_free(config, why))
		return NULL;
	/* passt's end blocks: it waits so for the second half of a frame. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0) {
		*why = strerror(errno);
		return NULL;
	}
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	r = run(config, four, six, net->asked || config->publishes, helpers, fd[1], errors);
	close(fd[1]);
	if (r < 0)
		*why = strerror(-r);
	if (r == 0 && net->asked && four && !is_up(fd[0], net->guest.mac)) {
		helper_complaint(*errors, text + snprintf(text, sizeof(text), "passt ended: "));
		*why = text;
		r = -1;
	}
	if (r < 0) {
		close(fd[0]);
		return NULL;
	}
	describe(&net->guest, four, six);
	*why = "not enough memory";
	return net_stream(fd[0]);
}

struct net_link *passt_start(const struct vm_config *config, struct vm_net *net,
	struct helpers *helpers, int *errors, const char **why)
{
	if (!helper_exists("passt")) {
		*why = "there is no passt; install the package passt, or use --net none";
		return NULL;
	}
	return start(config, net, helpers, errors, why);
}
