/* SPDX-License-Identifier: MIT */
/*
 * What a virtio-fs device and the process that serves its folder say to each
 * other, over a SOCK_SEQPACKET socket. The server has guest RAM mapped, so a request
 * is where its pieces are, not what is in them.
 */
#ifndef DEVICE_FS_PROTO_H
#define DEVICE_FS_PROTO_H

#include <stdint.h>

#define FS_PIECES_MAX 512

struct fs_request {
	uint32_t cpu; /* of the host, where the monitor ran */
	uint32_t id;
	uint16_t outs, ins; /* pieces from the guest, pieces to it */
	uint32_t pad;
	struct {
		uint64_t offset; /* in RAM; checked by the monitor */
		uint64_t len;
	} piece[FS_PIECES_MAX];
};

#define FS_REQUEST_SIZE(pieces) (16 + 16 * (size_t)(pieces))

struct fs_reply {
	uint32_t id;
	uint32_t len; /* bytes written for the guest */
};

#endif
