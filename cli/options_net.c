/* SPDX-License-Identifier: MIT */
/* The options of `lucid run` that concern the network. */
#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/options.h"

/* Splits "NAME=VALUE" at s, which ends at a comma or the string's end; where to go on, or NULL. */
static char *next_item(char *s, char **value)
{
	char *comma = strchr(s, ',');

	if (comma)
		*comma++ = '\0';
	*value = strchr(s, '=');
	if (*value)
		*(*value)++ = '\0';
	return comma;
}

/* ADDR/BITS of either family. */
static bool take_ip(struct agent_net *net, char *value)
{
	char *slash = strchr(value, '/'), *end;
	unsigned long bits;

	if (!slash || !isdigit((unsigned char)slash[1]))
		return false;
	*slash = '\0';
	bits = strtoul(slash + 1, &end, 10);
	if (*end)
		return false;
	if (bits <= 32 && inet_pton(AF_INET, value, net->ip4) == 1) {
		net->flags |= AGENT_NET_IP4;
		net->prefix4 = (uint8_t)bits;
		return true;
	}
	if (bits <= 128 && inet_pton(AF_INET6, value, net->ip6) == 1) {
		net->flags |= AGENT_NET_IP6;
		net->prefix6 = (uint8_t)bits;
		return true;
	}
	return false;
}

static bool take_address(const char *value, uint8_t four[4], uint8_t six[16])
{
	return inet_pton(AF_INET, value, four) == 1 || inet_pton(AF_INET6, value, six) == 1;
}

static bool take_mac(struct agent_net *net, const char *value)
{
	static const uint8_t none[6];

	for (unsigned i = 0; i < 6; i++) {
		char *end;

		if (!isxdigit((unsigned char)value[0]) || !isxdigit((unsigned char)value[1]))
			return false;
		net->mac[i] = (uint8_t)strtoul(value, &end, 16);
		if (end != value + 2 || *end != (i < 5 ? ':' : '\0'))
			return false;
		value = end + 1;
	}
	/* Groups are nobody's address. */
	return !(net->mac[0] & 1) && memcmp(net->mac, none, sizeof(none)) != 0;
}

static int take_item(struct vm_net *net, const char *name, char *value)
{
	bool fixed = net->kind != VM_NET_USER; /* there all but the mac comes from passt */

	if (value && strcmp(name, "mac") == 0) {
		if (take_mac(&net->guest, value))
			return 0;
		log_error("--net: mac=%s is no hardware address of one card; give one like "
			  "02:00:00:00:00:01",
			value);
		return -1;
	}
	if (value && fixed && strcmp(name, "ip") == 0) {
		if (take_ip(&net->guest, value))
			return 0;
		log_error("--net: ip=%s is no address with a prefix; give one like 10.0.0.1/24",
			value);
		return -1;
	}
	if (value && fixed && (strcmp(name, "gw") == 0 || strcmp(name, "dns") == 0)) {
		bool gw = name[0] == 'g';

		if (take_address(value, gw ? net->guest.gateway4 : net->guest.dns4,
			    gw ? net->guest.gateway6 : net->guest.dns6))
			return 0;
		log_error("--net: %s=%s is no address; give one like 10.0.0.1", name, value);
		return -1;
	}
	if (!value && fixed && strcmp(name, "dhcp") == 0) {
		net->guest.flags |= AGENT_NET_DHCP;
		return 0;
	}
	log_error("--net: %s is nothing that %s network takes; see `lucid run --help`", name,
		fixed ? "this" : "a user");
	return -1;
}

/* The kind, with its name if it takes one. */
static int take_kind(struct vm_net *net, const char *kind, char *name)
{
	if (strcmp(kind, "user") == 0 && !name) {
		net->kind = VM_NET_USER;
		return 0;
	}
	if (strcmp(kind, "tap") == 0 && name && *name) {
		net->kind = VM_NET_TAP;
		if (strlen(name) < IFNAMSIZ)
			return 0;
		log_error("--net tap=%s: no name of an interface; give at most %d letters", name,
			IFNAMSIZ - 1);
		return -1;
	}
	if (strcmp(kind, "socket") == 0 && name && *name) {
		net->kind = VM_NET_SOCKET;
		return 0;
	}
	log_error("--net %s: no kind of network; give user, tap=NAME, socket=PATH or none", kind);
	return -1;
}

int options_net(struct options *o, char *arg)
{
	struct vm_net *net = &o->vm.net[o->vm.nets];
	char *value, *next;

	if (strcmp(arg, "none") == 0) {
		o->net_none = true;
		return 0;
	}
	if (o->vm.nets == VM_NETS_MAX) {
		log_error("--net %s: too many networks; give at most %d", arg, VM_NETS_MAX);
		return -1;
	}
	*net = (struct vm_net){.asked = true};
	next = next_item(arg, &value);
	if (take_kind(net, arg, value) < 0)
		return -1;
	net->name = value;
	while (next) {
		char *item = next;

		next = next_item(item, &value);
		if (take_item(net, item, value) < 0)
			return -1;
	}
	/* Whoever has a tap has a network behind it; on a bare switch there is nobody to ask. */
	if (net->kind == VM_NET_TAP && !(net->guest.flags & (AGENT_NET_IP4 | AGENT_NET_IP6)))
		net->guest.flags |= AGENT_NET_DHCP;
	o->vm.nets++;
	return 0;
}

static bool take_port(const char *s, const char *end, uint16_t *port)
{
	char *stop;
	unsigned long n;

	if (!isdigit((unsigned char)*s))
		return false;
	n = strtoul(s, &stop, 10);
	*port = (uint16_t)n;
	return stop == end && n >= 1 && n <= 65535;
}

/* [ADDR:]HOST:GUEST[/udp]; an IPv6 address in brackets. */
static bool take_publish(struct vm_publish *p, const char *arg)
{
	const char *end = strchr(arg, '/'), *guest, *host = arg;
	size_t n = 0;

	if (!end)
		end = arg + strlen(arg);
	else if (strcmp(end, "/udp") == 0)
		p->udp = true;
	else if (strcmp(end, "/tcp") != 0)
		return false;
	guest = memrchr(arg, ':', (size_t)(end - arg));
	if (!guest || !take_port(guest + 1, end, &p->guest))
		return false;
	host = memrchr(arg, ':', (size_t)(guest - arg));
	if (host) {
		n = (size_t)(host - arg);
		if (n >= 2 && arg[0] == '[' && host[-1] == ']') {
			arg++;
			n -= 2;
		}
		if (n == 0 || n >= sizeof(p->address))
			return false;
		memcpy(p->address, arg, n);
	}
	p->address[n] = '\0';
	struct in6_addr any;
	if (n > 0 && inet_pton(AF_INET, p->address, &any) != 1 &&
		inet_pton(AF_INET6, p->address, &any) != 1)
		return false;
	return take_port(host ? host + 1 : arg, guest, &p->host);
}

int options_publish(struct options *o, const char *arg)
{
	struct vm_publish p = {.udp = false};

	if (o->vm.publishes == VM_PUBLISH_MAX) {
		log_error("--publish %s: too many ports; give at most %d", arg, VM_PUBLISH_MAX);
		return -1;
	}
	if (!take_publish(&p, arg)) {
		log_error("--publish %s: not a port; give [ADDRESS:]HOST:GUEST[/udp], like "
			  "8080:80",
			arg);
		return -1;
	}
	for (unsigned i = 0; i < o->vm.publishes; i++) {
		const struct vm_publish *q = &o->vm.publish[i];

		if (q->host != p.host || q->udp != p.udp || strcmp(q->address, p.address) != 0)
			continue;
		log_error("--publish %s: port %u is given twice; choose another one", arg, p.host);
		return -1;
	}
	o->vm.publish[o->vm.publishes++] = p;
	return 0;
}

int options_net_end(struct options *o)
{
	unsigned users = 0;

	if (o->net_none && o->vm.nets > 0) {
		log_error("--net none: there is another --net; give one or the other");
		return -1;
	}
	/* Where nobody says anything, and the host can. */
	if (o->vm.nets == 0 && !o->net_none)
		o->vm.net[o->vm.nets++] =
			(struct vm_net){.kind = VM_NET_USER, .asked = o->vm.publishes > 0};
	for (unsigned i = 0; i < o->vm.nets; i++)
		users += o->vm.net[i].kind == VM_NET_USER;
	if (users > 1) {
		log_error("--net user: given twice; one is enough");
		return -1;
	}
	if (users == 0 && o->vm.publishes > 0) {
		log_error("--publish: there is no user network; add --net user");
		return -1;
	}
	return 0;
}
