/* SPDX-License-Identifier: MIT */
/*
 * passt's end of a card: a stream socket, frames with their length (32 bits, big
 * endian) before them and no virtio-net header.
 *
 * Each readv() takes the rest of one frame and the length of the next one: one
 * system call a frame, and no copy. The guest may leave checksums to us; they are
 * filled in on a copy of the frame's first bytes, since a buffer that the guest
 * sends is not ours to write.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/net_link.h"

#define MTU 65520 /* passt's greatest; with it, no segmentation is needed */
#define IOV_MAX_PIECES 1024
#define FRAME_MIN 14
#define FRAME_MAX (NET_FRAME_MAX - NET_HEADER)
#define FRONT_MAX 256 /* up to where a checksum can be: Ethernet, IP with options, TCP */

struct stream {
	struct net_link link;
	/* Coming in. */
	uint8_t length[4];
	unsigned length_have;
	size_t have; /* bytes of the frame in the room */
	bool discard; /* the frame's first part is gone with its room */
	uint8_t flags; /* of the headers that the guest gets */
	/* Going out: the frame in hand, once begun. */
	size_t sent, total;
	size_t owed; /* of a frame that was lost half sent; zeros will do */
	uint8_t prefix[4];
	uint8_t front[FRONT_MAX];
	size_t front_len;
};

/* The pieces from byte skip on: fills out, returns how many. */
static unsigned slice(const struct iovec *iov, unsigned iovs, size_t skip, struct iovec *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < iovs; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		out[n].iov_base = (char *)iov[i].iov_base + skip;
		out[n++].iov_len = iov[i].iov_len - skip;
		skip = 0;
	}
	return n;
}

/* ---- Out ------------------------------------------------------------------------ */

static size_t copy_front(const struct iovec *iov, unsigned iovs, size_t skip, void *dst, size_t n)
{
	struct iovec piece[IOV_MAX_PIECES];
	unsigned pieces = slice(iov, iovs, skip, piece);
	size_t done = 0;

	for (unsigned i = 0; i < pieces && done < n; i++) {
		size_t part = piece[i].iov_len < n - done ? piece[i].iov_len : n - done;

		memcpy((char *)dst + done, piece[i].iov_base, part);
		done += part;
	}
	/* As in ram_read(): the copy is made here and once. */
	__asm__ volatile("" ::: "memory");
	return done;
}

/* Adds bytes, the first of which is at an even offset, as 16-bit numbers of this machine's order.
 */
static uint64_t sum_bytes(const unsigned char *p, size_t n)
{
	uint64_t sum = 0;
	uint32_t word;

	for (; n >= 4; p += 4, n -= 4) {
		memcpy(&word, p, 4);
		sum += word;
	}
	word = 0;
	memcpy(&word, p, n);
	return sum + word;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint16_t sum_pieces(const struct iovec *iov, unsigned iovs)
{
	uint64_t sum = 0;
	bool odd = false;

	for (unsigned i = 0; i < iovs; i++) {
		uint16_t part = fold(sum_bytes(iov[i].iov_base, iov[i].iov_len));

		/* After an odd number of bytes, high and low bytes change places. */
		sum += odd ? (uint16_t)(part << 8 | part >> 8) : part;
		odd ^= iov[i].iov_len & 1;
	}
	return fold(sum);
}

/* Puts the frame's first bytes and the checksum in them into front; false: no frame of ours. */
static bool fill_checksum(struct stream *s, const struct virtio_net_hdr_v1 *header,
	const struct iovec *iov, unsigned iovs)
{
	struct iovec piece[IOV_MAX_PIECES + 1];
	size_t start = header->csum_start, field = start + header->csum_offset;
	uint16_t sum;

	if (start < FRAME_MIN || field + 2 > FRONT_MAX || NET_HEADER + field + 2 > s->total)
		return false;
	s->front_len = field + 2;
	if (copy_front(iov, iovs, NET_HEADER, s->front, s->front_len) != s->front_len)
		return false;
	/* The field holds the pseudo header's sum, which so counts in. */
	piece[0] = (struct iovec){s->front + start, s->front_len - start};
	unsigned n = 1 + slice(iov, iovs, NET_HEADER + s->front_len, piece + 1);
	sum = (uint16_t)~sum_pieces(piece, n);
	if (sum == 0)
		sum = 0xffff; /* the same number; 0 says "none" in UDP */
	memcpy(s->front + field, &sum, sizeof(sum));
	return true;
}

/* Looks at a frame for the first time; false: not one that can be sent. */
static bool begin(struct stream *s, const struct iovec *iov, unsigned iovs)
{
	struct virtio_net_hdr_v1 header;
	uint32_t length;

	s->total = 0;
	for (unsigned i = 0; i < iovs; i++)
		s->total += iov[i].iov_len;
	if (s->total < NET_HEADER + FRAME_MIN || s->total > NET_FRAME_MAX)
		return false;
	if (copy_front(iov, iovs, 0, &header, sizeof(header)) != sizeof(header) ||
		header.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return false;
	s->front_len = 0;
	if ((header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !fill_checksum(s, &header, iov, iovs))
		return false;
	length = htonl((uint32_t)(s->total - NET_HEADER));
	memcpy(s->prefix, &length, sizeof(length));
	s->total = sizeof(length) + s->total - NET_HEADER;
	return true;
}

/* Writes what is left of total bytes: 1, 0: not now, -errno. *sent counts. */
static int write_on(int fd, const struct iovec *whole, unsigned count, size_t total, size_t *sent)
{
	struct iovec rest[IOV_MAX_PIECES];

	while (*sent < total) {
		ssize_t n = writev(fd, rest, (int)slice(whole, count, *sent, rest));

		if (n >= 0)
			*sent += (size_t)n;
		else if (errno != EINTR)
			return errno == EAGAIN ? 0 : -errno;
	}
	return 1;
}

static int pay_owed(struct stream *s)
{
	static const char zeros[FRAME_MAX + 4];
	const struct iovec iov = {(void *)(uintptr_t)zeros, s->owed};
	size_t sent = 0;
	int r = write_on(s->link.fd, &iov, 1, s->owed, &sent);

	s->owed -= sent;
	return r;
}

static int stream_send(struct net_link *link, const struct iovec *iov, unsigned iovs)
{
	struct stream *s = (struct stream *)link;
	struct iovec whole[IOV_MAX_PIECES];
	int r = pay_owed(s);

	if (r <= 0)
		return r;
	if (iovs > IOV_MAX_PIECES - 2)
		return 1;
	if (s->sent == 0 && !begin(s, iov, iovs))
		return 1;
	whole[0] = (struct iovec){s->prefix, sizeof(s->prefix)};
	whole[1] = (struct iovec){s->front, s->front_len};
	unsigned count = 2 + slice(iov, iovs, NET_HEADER + s->front_len, whole + 2);
	r = write_on(link->fd, whole, count, s->total, &s->sent);
	if (r == 1)
		s->sent = 0;
	return r;
}

/* ---- In ------------------------------------------------------------------------- */

/* Bytes of the frame whose length has come; 0: the length has not. */
static size_t frame_length(const struct stream *s)
{
	uint32_t length;

	memcpy(&length, s->length, sizeof(length));
	return s->length_have == sizeof(length) ? ntohl(length) : 0;
}

/* Reads on: rest of the frame, then the next one's length. Bytes, 0: not now, -errno. */
static ssize_t read_on(struct stream *s, const struct iovec *room, unsigned pieces, size_t rest)
{
	struct iovec iov[IOV_MAX_PIECES];
	unsigned n = 0;
	size_t sum = 0;
	ssize_t r;

	for (; n < pieces && sum < rest; n++) {
		iov[n] = room[n];
		if (iov[n].iov_len > rest - sum)
			iov[n].iov_len = rest - sum;
		sum += iov[n].iov_len;
	}
	unsigned from = rest > 0 ? 0 : s->length_have;
	iov[n++] = (struct iovec){s->length + from, sizeof(s->length) - from};
	do
		r = readv(s->link.fd, iov, (int)n);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return -EPIPE;
	if (r < 0)
		return errno == EAGAIN ? 0 : -errno;
	return r;
}

static void put_header(const struct stream *s, const struct iovec *iov)
{
	const struct virtio_net_hdr_v1 header = {.flags = s->flags};

	memcpy(iov[0].iov_base, &header, sizeof(header));
}

static ssize_t stream_receive(struct net_link *link, const struct iovec *iov, unsigned iovs)
{
	struct stream *s = (struct stream *)link;
	static char waste[FRAME_MAX];
	const struct iovec sink = {waste, sizeof(waste)};
	struct iovec room[IOV_MAX_PIECES];

	for (;;) {
		size_t length = frame_length(s), rest = length - s->have;
		unsigned n = s->discard ? 1 : slice(iov, iovs, NET_HEADER + s->have, room);

		if (s->length_have == sizeof(s->length) &&
			(length < FRAME_MIN || length > FRAME_MAX))
			return -EPROTO;
		ssize_t r = read_on(s, s->discard ? &sink : room, n, rest);
		if (r <= 0)
			return r;
		if (rest == 0) {
			s->length_have += (unsigned)r;
			continue;
		}
		if ((size_t)r < rest) {
			s->have += (size_t)r;
			continue;
		}
		s->length_have = (unsigned)((size_t)r - rest);
		s->have = 0;
		if (!s->discard) {
			put_header(s, iov);
			return (ssize_t)(NET_HEADER + length);
		}
		s->discard = false;
	}
}

static void stream_forget(struct net_link *link)
{
	struct stream *s = (struct stream *)link;

	if (s->have > 0)
		s->discard = true;
	if (s->sent > 0)
		s->owed = s->total - s->sent;
	s->sent = 0;
}

static void stream_settle(struct net_link *link, uint64_t features)
{
	struct stream *s = (struct stream *)link;

	/* What came over a socket of this host has not been changed on the way. */
	s->flags = features >> VIRTIO_NET_F_GUEST_CSUM & 1 ? VIRTIO_NET_HDR_F_DATA_VALID : 0;
}

static void stream_close(struct net_link *link)
{
	close(link->fd);
	free(link);
}

struct net_link *net_stream(int fd)
{
	static const struct net_link_ops ops = {
		.send = stream_send,
		.receive = stream_receive,
		.forget = stream_forget,
		.settle = stream_settle,
		.close = stream_close,
	};
	struct stream *s = calloc(1, sizeof(*s));

	if (!s) {
		close(fd);
		return NULL;
	}
	s->link = (struct net_link){
		.ops = &ops,
		.fd = fd,
		.features = 1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_GUEST_CSUM,
		.mtu = MTU,
	};
	return &s->link;
}
