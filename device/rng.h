/* SPDX-License-Identifier: MIT */
/* virtio-rng: the host's random numbers for the guest. */
#ifndef DEVICE_RNG_H
#define DEVICE_RNG_H

#include "device/bus.h"

/* Makes the device on the bus. NULL and errno on failure. The bus frees it. */
struct device *rng_create(struct bus *bus);

#endif
