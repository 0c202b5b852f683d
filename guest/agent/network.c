/* SPDX-License-Identifier: MIT */
/* The network cards: addresses, routes and name servers, by netlink. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/agent/agent.h"

#define RESOLVER "/etc/resolv.conf"
#define OUR_RESOLVER "/run/resolv.conf"

/* ---- Netlink ------------------------------------------------------------------ */

struct request {
	struct nlmsghdr header;
	union {
		struct ifaddrmsg address;
		struct rtmsg route;
	};
	char attributes[128];
};

static void add_attribute(struct request *r, unsigned short type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->header.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	r->header.nlmsg_len = NLMSG_ALIGN(r->header.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

/* Sends a request and takes its answer; true, or false and errno. */
static bool ask_kernel(struct request *r)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[512];
	} answer;
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int error = 0;

	r->header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	if (s < 0)
		return false;
	if (send(s, r, r->header.nlmsg_len, 0) < 0 || recv(s, &answer, sizeof(answer), 0) < 0)
		error = errno;
	else if (answer.header.nlmsg_type == NLMSG_ERROR)
		error = -answer.error.error;
	close(s);
	errno = error;
	return !error;
}

static size_t address_size(int family)
{
	return family == AF_INET ? 4 : 16;
}

bool network_add_address(unsigned card, int family, const void *address, unsigned prefix)
{
	struct request r = {
		.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(r.address)),
			.nlmsg_type = RTM_NEWADDR,
			.nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE},
		.address = {.ifa_family = (unsigned char)family,
			.ifa_prefixlen = (unsigned char)prefix,
			/* The host gave it to us: nobody else is asked whether he has it. */
			.ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
			.ifa_index = card},
	};

	add_attribute(&r, IFA_LOCAL, address, address_size(family));
	add_attribute(&r, IFA_ADDRESS, address, address_size(family));
	if (family == AF_INET && prefix < 31) {
		uint32_t broadcast;

		memcpy(&broadcast, address, sizeof(broadcast));
		broadcast |= htonl(prefix ? UINT32_MAX >> prefix : UINT32_MAX);
		add_attribute(&r, IFA_BROADCAST, &broadcast, sizeof(broadcast));
	}
	return ask_kernel(&r);
}

bool network_add_gateway(unsigned card, int family, const void *gateway)
{
	struct request r = {
		.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(r.route)),
			.nlmsg_type = RTM_NEWROUTE,
			.nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE},
		.route = {.rtm_family = (unsigned char)family,
			.rtm_table = RT_TABLE_MAIN,
			.rtm_protocol = RTPROT_BOOT,
			.rtm_scope = RT_SCOPE_UNIVERSE,
			.rtm_type = RTN_UNICAST},
	};

	add_attribute(&r, RTA_GATEWAY, gateway, address_size(family));
	add_attribute(&r, RTA_OIF, &card, sizeof(card));
	return ask_kernel(&r);
}

/* ---- Cards ---------------------------------------------------------------------- */

/* The card with that hardware address; its number, or 0. */
static unsigned find_card(const uint8_t mac[6], char name[IF_NAMESIZE])
{
	struct if_nameindex *list = if_nameindex();
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned found = 0;

	for (struct if_nameindex *i = list; i && i->if_index && !found; i++) {
		struct ifreq request = {0};

		snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", i->if_name);
		if (ioctl(s, SIOCGIFHWADDR, &request) < 0 ||
			request.ifr_hwaddr.sa_family != ARPHRD_ETHER ||
			memcmp(request.ifr_hwaddr.sa_data, mac, 6) != 0)
			continue;
		found = i->if_index;
		strcpy(name, i->if_name);
	}
	if_freenameindex(list);
	close(s);
	return found;
}

static bool bring_up(const char *name)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};
	bool ok;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	ok = s >= 0 && ioctl(s, SIOCGIFFLAGS, &request) == 0;
	request.ifr_flags |= IFF_UP;
	ok = ok && ioctl(s, SIOCSIFFLAGS, &request) == 0;
	close(s);
	return ok;
}

static void set_ipv6(const char *name, const char *what, const char *value)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", name, what);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		system_log("cannot set %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static bool given(const uint8_t *address, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (address[i])
			return true;
	return false;
}

static void set_up_family(const char *name, unsigned card, int family, const struct agent_net *net)
{
	const uint8_t *address = family == AF_INET ? net->ip4 : net->ip6;
	const uint8_t *gateway = family == AF_INET ? net->gateway4 : net->gateway6;
	unsigned prefix = family == AF_INET ? net->prefix4 : net->prefix6;

	if (!network_add_address(card, family, address, prefix))
		system_log("%s: cannot set its address: %s", name, strerror(errno));
	else if (given(gateway, address_size(family)) &&
		 !network_add_gateway(card, family, gateway))
		system_log("%s: cannot set its gateway: %s", name, strerror(errno));
}

#define SERVERS_MAX (3 * AGENT_NETS_MAX)

struct servers {
	char text[SERVERS_MAX][64];
	const char *list[SERVERS_MAX];
	unsigned count;
};

static void add_server(struct servers *s, int family, const uint8_t *address)
{
	if (!given(address, address_size(family)))
		return;
	inet_ntop(family, address, s->text[s->count], sizeof(s->text[0]));
	s->count++;
}

static void set_up(const struct agent_net *net, struct servers *servers)
{
	char name[IF_NAMESIZE];
	unsigned card = find_card(net->mac, name);

	if (!card) {
		system_log("a network card is missing");
		return;
	}
	/* Whom the host has told all needs no router to tell him. */
	if (net->flags & AGENT_NET_IP6)
		set_ipv6(name, "accept_ra", "0");
	if (!bring_up(name)) {
		system_log("%s: cannot bring it up: %s", name, strerror(errno));
		return;
	}
	if (net->flags & AGENT_NET_IP4)
		set_up_family(name, card, AF_INET, net);
	if (net->flags & AGENT_NET_IP6)
		set_up_family(name, card, AF_INET6, net);
	add_server(servers, AF_INET, net->dns4);
	add_server(servers, AF_INET6, net->dns6);
	if (!(net->flags & AGENT_NET_DHCP))
		return;
	dhcp_start(card, name, net->mac, servers->text[servers->count]);
	if (servers->text[servers->count][0])
		servers->count++;
}

/* ---- Name servers ----------------------------------------------------------------- */

/* The folders that a dangling link's target lies in, below /run, which is empty at the start. */
static void make_run_folders(const char *target)
{
	char path[PATH_MAX];

	if (strncmp(target, "../run/", 7) == 0)
		target += 2;
	if (strncmp(target, "/run/", 5) != 0)
		return;
	snprintf(path, sizeof(path), "%s", target);
	for (char *slash = strchr(path + 5, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* A root that is kept keeps its own file: ours is laid over it. */
void network_write_resolver(const char *const servers[], unsigned count)
{
	char text[SERVERS_MAX * 80] = "", target[PATH_MAX];
	struct stat st;
	size_t n = 0;
	ssize_t len;
	bool ok;

	for (unsigned i = 0; i < count; i++)
		n += snprintf(text + n, sizeof(text) - n, "nameserver %s\n", servers[i]);
	len = readlink(RESOLVER, target, sizeof(target) - 1);
	if (len > 0) {
		target[len] = '\0';
		make_run_folders(target);
	}
	if (stat(RESOLVER, &st) == 0)
		ok = write_file(OUR_RESOLVER, text) &&
		     mount(OUR_RESOLVER, RESOLVER, NULL, MS_BIND, NULL) == 0;
	else
		ok = write_file(RESOLVER, text);
	if (!ok)
		system_log("cannot write %s: %s", RESOLVER, strerror(errno));
}

void network_set_up(const struct agent_net *net, uint32_t nets)
{
	struct servers servers = {.count = 0};

	for (uint32_t i = 0; i < nets; i++)
		set_up(&net[i], &servers);
	for (unsigned i = 0; i < servers.count; i++)
		servers.list[i] = servers.text[i];
	if (servers.count)
		network_write_resolver(servers.list, servers.count);
}
