/* SPDX-License-Identifier: MIT */
/*
 * A hostile guest for device targets: its program is the fuzzer's input.
 *
 * The first byte chooses the device, the second what the driver agrees to; the device is then
 * brought up as a good driver would, so that what follows gets far. From there on the guest does
 * what it likes with its memory, its rings and the calls of the bus.
 */
#ifndef FUZZ_GUEST_H
#define FUZZ_GUEST_H

#include <stddef.h>
#include <stdint.h>

/*
 * More than 4 GiB / 64, so that 64 buffers of all of it have more bytes than 32 bits can tell. It
 * costs what is touched.
 */
#define GUEST_RAM (256ULL << 20)

/* Called where the guest wants this byte of its memory, which it shares, to change; NULL: once. */
typedef void guest_flip_fn(volatile uint8_t *byte, uint8_t mask);

/* Makes the machine, once. */
void guest_init(void);
/* Runs one program. */
void guest_run(const uint8_t *data, size_t size, guest_flip_fn *flip);
/* Makes the memory what it was at first; nobody may write to it any more. */
void guest_wipe(void);

#endif
