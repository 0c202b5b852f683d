/* SPDX-License-Identifier: MIT */
/* Makes the machine's network cards, each on its kind of link. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "device/net.h"
#include "monitor/network.h"

struct network {
	unsigned number;
	bool asked;
	const char *what; /* "passt", ... */
	int errors; /* stderr of its helper, or -1 */
};

static const char *const kind_name[] = {
	[VM_NET_USER] = "user",
	[VM_NET_TAP] = "tap",
	[VM_NET_SOCKET] = "socket",
};

/* The machine goes on without it, as one whose cable was pulled. */
static void link_gone(void *arg, int error)
{
	const struct network *n = arg;
	char line[HELPER_LINE] = "";

	if (n->errors >= 0)
		helper_complaint(n->errors, line);
	if (!line[0])
		strcpy(line,
			error == EPIPE || error == ECONNRESET ? "it was closed" : strerror(error));
	if (n->asked)
		log_warn("the guest's network card %u (%s) has lost its link: %s", n->number,
			n->what, line);
	else
		log_info("the guest's network card %u (%s) has lost its link: %s", n->number,
			n->what, line);
}

/* A locally administered address, so that no two machines of a switch have the same. */
static void choose_mac(uint8_t mac[6])
{
	static const uint8_t none[6];

	if (memcmp(mac, none, sizeof(none)) != 0)
		return;
	while (getrandom(mac, 6, 0) != 6)
		;
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
}

static struct net_link *open_link(const struct vm_config *config, struct vm_net *net,
	struct helpers *helpers, int *errors, const char **why)
{
	switch (net->kind) {
	case VM_NET_USER:
		return passt_start(config, net, helpers, errors, why);
	case VM_NET_TAP:
		return tap_open(net->name, why);
	default:
		return switch_join(net->name, why);
	}
}

/* 1: made; 0: left out; -1: reported. */
static int create(struct networks *networks, struct bus *bus, const struct vm_config *config,
	const struct vm_net *asked, struct helpers *helpers)
{
	struct vm_net net = *asked;
	struct network *n = calloc(1, sizeof(*n));
	const char *why = "not enough memory", *name = kind_name[net.kind];
	struct net_link *link;

	if (!n)
		goto fail;
	*n = (struct network){
		.number = networks->count, .asked = net.asked, .what = name, .errors = -1};
	networks->net[networks->count] = n;
	choose_mac(net.guest.mac);
	link = open_link(config, &net, helpers, &n->errors, &why);
	if (link && !net_create(bus, link, net.guest.mac, link_gone, n)) {
		link = NULL;
		why = errno == ENOSPC ? "there are too many devices" : strerror(errno);
	}
	if (link) {
		networks->guest[networks->count++] = net.guest;
		return 1;
	}
	if (n->errors >= 0)
		close(n->errors);
	free(n);
	networks->net[networks->count] = NULL;
fail:
	if (net.asked) {
		log_error("--net %s%s%s: %s", name, net.name ? "=" : "", net.name ? net.name : "",
			why);
		return -1;
	}
	log_info("no network: %s", why);
	return 0;
}

int networks_create(struct networks *networks, struct bus *bus, const struct vm_config *config,
	struct helpers *helpers)
{
	for (unsigned i = 0; i < config->nets; i++)
		if (create(networks, bus, config, &config->net[i], helpers) < 0)
			return -1;
	return 0;
}

void networks_destroy(struct networks *networks)
{
	for (unsigned i = 0; i < networks->count; i++) {
		if (networks->net[i]->errors >= 0)
			close(networks->net[i]->errors);
		free(networks->net[i]);
	}
	networks->count = 0;
}
