/* SPDX-License-Identifier: MIT */
/* virtio-net: a network card of the guest, on a link of the host. */
#ifndef DEVICE_NET_H
#define DEVICE_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "device/bus.h"
#include "device/net_link.h"

/*
 * Makes a card with this hardware address. The link is the card's from now on,
 * also on failure. gone, unless NULL, is called once if the link ends by itself;
 * the guest sees the cable pulled out. NULL and errno on failure.
 */
struct device *net_create(struct bus *bus, struct net_link *link, const uint8_t mac[6],
	void (*gone)(void *arg, int error), void *arg);

#endif
