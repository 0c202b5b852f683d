/* SPDX-License-Identifier: MIT */
/* The machine's network cards and what is behind them on the host. */
#ifndef MONITOR_NETWORK_H
#define MONITOR_NETWORK_H

#include "device/bus.h"
#include "device/net_link.h"
#include "monitor/helper.h"
#include "monitor/vm.h"

struct network;

struct networks {
	struct network *net[VM_NETS_MAX];
	unsigned count;
	struct agent_net guest[VM_NETS_MAX]; /* what the guest is to be told of each */
};

/*
 * Makes the cards of a configuration. One that nobody asked for by name is left
 * out where the host cannot have it. 0, or -1 after a reported error; either way
 * networks_destroy(), after the bus is gone.
 */
int networks_create(struct networks *networks, struct bus *bus, const struct vm_config *config,
	struct helpers *helpers);
void networks_destroy(struct networks *networks);

/*
 * passt.c: starts passt for a card. A link, or NULL: it cannot be had, why tells in
 * words. errors gets passt's stderr, -1 if none.
 */
struct net_link *passt_start(const struct vm_config *config, struct vm_net *net,
	struct helpers *helpers, int *errors, const char **why);

/*
 * passt_wait.c: waits in passt's process, before it is passt, until the guest sends at fd what
 * passt is needed for. False: the machine has ended.
 */
bool passt_wanted(int fd);

/* tap.c: a tap device of that name, as above. */
struct net_link *tap_open(const char *name, const char **why);

/* switch_join.c: a port of the switch at path, which is started if there is none. */
struct net_link *switch_join(const char *path, const char **why);

#endif
