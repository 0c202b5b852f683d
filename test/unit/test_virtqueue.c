/* SPDX-License-Identifier: MIT */
/* Split rings against drivers that are right, wrong and hostile. */
#include <errno.h>
#include <string.h>

#include "device/virtqueue.h"
#include "test/unit/rig.h"

#define SIZE 8
#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

static struct rig rig;
static struct ring ring;
static struct virtqueue vq;
static struct iovec iov[16];
static struct vq_chain chain;
static uint64_t data; /* a page of guest memory */

static int setup(void **state)
{
	(void)state;
	rig_open(&rig);
	ring_make(&ring, &rig, SIZE);
	data = rig_alloc(&rig, 4096);
	memset(&vq, 0, sizeof(vq));
	vq.event_idx = vq.indirect = true;
	chain = (struct vq_chain){.iov = iov, .max = 16};
	return vq_setup(&vq, &rig.ram, SIZE, ring.desc, ring.avail, ring.used);
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

static void desc(unsigned i, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
	ring_desc(&rig, ring.desc, i, addr, len, flags, next);
}

/* The chain at head 0 is refused for this reason, and nothing was taken. */
static void assert_nonsense(const char *why)
{
	ring_offer(&ring, 0);
	assert_int_equal(vq_pop(&vq, &chain), -EINVAL);
	assert_string_equal(vq.error, why);
	assert_int_equal(vq.next_avail, 0);
	assert_int_equal(vq.in_flight[0], 0);
}

/* ---- Setup ----------------------------------------------------------------- */

static int try(unsigned size, uint64_t desc_pa, uint64_t avail, uint64_t used)
{
	struct virtqueue other = {0};

	return vq_setup(&other, &rig.ram, size, desc_pa, avail, used);
}

static void setup_refuses_bad_sizes(void **state)
{
	(void)state;
	assert_int_equal(try(0, 0x10000, 0x20000, 0x30000), -EINVAL);
	assert_int_equal(try(3, 0x10000, 0x20000, 0x30000), -EINVAL);
	assert_int_equal(try(2 * VQ_SIZE_MAX, 0x10000, 0x20000, 0x30000), -EINVAL);
	assert_int_equal(try(65536, 0x10000, 0x20000, 0x30000), -EINVAL);
	assert_int_equal(try(VQ_SIZE_MAX, 0x10000, 0x20000, 0x30000), 0);
	assert_int_equal(try(1, 0x10000, 0x20000, 0x30000), 0);
}

static void setup_refuses_misaligned_rings(void **state)
{
	(void)state;
	assert_int_equal(try(8, 0x10008, 0x20000, 0x30000), -EINVAL);
	assert_int_equal(try(8, 0x10000, 0x20001, 0x30000), -EINVAL);
	assert_int_equal(try(8, 0x10000, 0x20000, 0x30002), -EINVAL);
	assert_int_equal(try(8, 0x10010, 0x20002, 0x30004), 0);
}

static void setup_refuses_rings_outside_ram(void **state)
{
	const uint64_t end = RIG_RAM;

	(void)state;
	/* Each part fits exactly, and one step further does not. */
	assert_int_equal(try(8, end - 128, 0x20000, 0x30000), 0);
	assert_int_equal(try(8, end - 112, 0x20000, 0x30000), -EINVAL);
	assert_int_equal(try(8, 0x10000, end - 22, 0x30000), 0);
	assert_int_equal(try(8, 0x10000, end - 20, 0x30000), -EINVAL);
	assert_int_equal(try(8, 0x10000, 0x20000, end - 72), 0);
	assert_int_equal(try(8, 0x10000, 0x20000, end - 68), -EINVAL);
	assert_int_equal(try(8, UINT64_MAX - 15, 0x20000, 0x30000), -EINVAL);
	assert_int_equal(try(8, 0x10000, UINT64_MAX - 1, 0x30000), -EINVAL);
	assert_int_equal(try(8, 0x10000, 0x20000, UINT64_MAX - 3), -EINVAL);
}

/* ---- What a right driver does ------------------------------------------------ */

static void a_chain_comes_out_as_laid_out(void **state)
{
	uint32_t id, len;

	(void)state;
	desc(2, data, 10, NEXT, 5);
	desc(5, data + 100, 20, NEXT, 1);
	desc(1, data + 200, 30, WRITE, 0);
	assert_int_equal(vq_pop(&vq, &chain), 0);
	ring_offer(&ring, 2);
	assert_int_equal(vq_pop(&vq, &chain), 1);
	assert_int_equal(chain.head, 2);
	assert_int_equal(chain.outs, 2);
	assert_int_equal(chain.ins, 1);
	assert_int_equal(chain.out_len, 30);
	assert_int_equal(chain.in_len, 30);
	assert_ptr_equal(chain.out[1].iov_base, rig_at(&rig, data + 100, 20));
	assert_ptr_equal(chain.in[0].iov_base, rig_at(&rig, data + 200, 30));
	assert_int_equal(vq_pop(&vq, &chain), 0);

	vq_push(&vq, 2, 30);
	assert_true(ring_used(&ring, &id, &len));
	assert_int_equal(id, 2);
	assert_int_equal(len, 30);
	assert_false(ring_used(&ring, &id, &len));
}

static void indirect_tables(void **state)
{
	uint64_t table = rig_alloc(&rig, 64);

	(void)state;
	/* Direct buffers may come before the table; its own WRITE flag means nothing. */
	ring_desc(&rig, table, 0, data + 64, 5, NEXT, 2);
	ring_desc(&rig, table, 2, data + 128, 6, WRITE, 0);
	desc(0, data, 4, NEXT, 1);
	desc(1, table, 48, INDIRECT | WRITE, 0);
	ring_offer(&ring, 0);
	assert_int_equal(vq_pop(&vq, &chain), 1);
	assert_int_equal(chain.outs, 2);
	assert_int_equal(chain.out_len, 9);
	assert_int_equal(chain.in_len, 6);
}

/* An indirect chain may be longer than the ring, as Linux makes them for long lists. */
static void an_indirect_chain_longer_than_the_ring(void **state)
{
	uint64_t table = rig_alloc(&rig, 12 * 16UL);

	(void)state;
	for (unsigned i = 0; i < 12; i++)
		ring_desc(&rig, table, i, data + i, 1, i < 11 ? NEXT : 0, i + 1);
	desc(0, table, 12 * 16, INDIRECT, 0);
	ring_offer(&ring, 0);
	assert_int_equal(vq_pop(&vq, &chain), 1);
	assert_int_equal(chain.outs, 12);
}

static void indexes_wrap(void **state)
{
	uint32_t id, len;

	(void)state;
	for (unsigned i = 0; i < 3 * 65536 / 2; i++) {
		unsigned head = i * 5 % SIZE;

		desc(head, data, 1 + head, 0, 0);
		ring_offer(&ring, head);
		assert_int_equal(vq_pop(&vq, &chain), 1);
		assert_int_equal(chain.head, head);
		assert_int_equal(chain.out_len, 1 + head);
		vq_push(&vq, chain.head, i & 0xffff);
		assert_true(ring_used(&ring, &id, &len));
		assert_int_equal(id, head);
		assert_int_equal(len, i & 0xffff);
	}
}

static void bytes_across_buffers(void **state)
{
	char text[16] = "";

	(void)state;
	memcpy(rig_at(&rig, data, 3), "abc", 3);
	memcpy(rig_at(&rig, data + 100, 4), "defg", 4);
	desc(0, data, 3, NEXT, 1);
	desc(1, data + 100, 4, NEXT, 2);
	desc(2, data + 200, 2, WRITE | NEXT, 3);
	desc(3, data + 300, 3, WRITE, 0);
	ring_offer(&ring, 0);
	assert_int_equal(vq_pop(&vq, &chain), 1);
	assert_int_equal(vq_peek(&chain, text, 5), 5);
	assert_string_equal(text, "abcde");
	vq_skip(&chain, 4);
	assert_int_equal(chain.out_len, 3);
	memset(text, 0, sizeof(text));
	assert_int_equal(vq_peek(&chain, text, 16), 3);
	assert_string_equal(text, "efg");
	vq_skip(&chain, 3);
	assert_int_equal(chain.outs, 0);
	assert_int_equal(vq_peek(&chain, text, 16), 0);

	assert_int_equal(vq_put(&chain, "1", 1), 1);
	assert_int_equal(vq_put(&chain, "23456789", 8), 4);
	assert_int_equal(chain.in_len, 0);
	assert_int_equal(vq_put(&chain, "x", 1), 0);
	assert_memory_equal(rig_at(&rig, data + 200, 2), "12", 2);
	assert_memory_equal(rig_at(&rig, data + 300, 4), "345", 4);
}

/* ---- Who wakes whom ---------------------------------------------------------- */

static void give_back(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		desc(0, data, 1, 0, 0);
		ring_offer(&ring, 0);
		assert_int_equal(vq_pop(&vq, &chain), 1);
		vq_push(&vq, 0, 0);
	}
}

static void events_by_index(void **state)
{
	(void)state;
	assert_false(vq_event_wanted(&vq));
	give_back(1); /* used_event 0: the first one */
	assert_true(vq_event_wanted(&vq));
	assert_false(vq_event_wanted(&vq));
	give_back(3);
	assert_false(vq_event_wanted(&vq));
	/* Wants to know when element 6 is there: three come in one batch, one event. */
	ring_set_used_event(&ring, 6);
	give_back(2);
	assert_false(vq_event_wanted(&vq));
	give_back(3);
	assert_true(vq_event_wanted(&vq));
	give_back(1);
	assert_false(vq_event_wanted(&vq));
}

static void events_by_flag(void **state)
{
	(void)state;
	vq.event_idx = false;
	give_back(1);
	assert_true(vq_event_wanted(&vq));
	*(uint16_t *)rig_at(&rig, ring.avail, 2) = VRING_AVAIL_F_NO_INTERRUPT;
	give_back(1);
	assert_false(vq_event_wanted(&vq));
	*(uint16_t *)rig_at(&rig, ring.avail, 2) = 0;
	assert_false(vq_event_wanted(&vq));
	give_back(1);
	assert_true(vq_event_wanted(&vq));
}

static void arming_asks_for_the_next_doorbell(void **state)
{
	(void)state;
	give_back(3);
	assert_int_equal(ring_avail_event(&ring), 0);
	assert_false(vq_arm(&vq));
	assert_int_equal(ring_avail_event(&ring), 3);
	ring_offer(&ring, 0);
	assert_true(vq_arm(&vq));
	assert_int_equal(ring_avail_event(&ring), 3);
}

/* ---- What a hostile driver does ---------------------------------------------- */

static void a_chain_that_loops(void **state)
{
	(void)state;
	chain.max = 16;
	desc(0, data, 1, NEXT, 1);
	desc(1, data, 1, NEXT, 0);
	assert_nonsense("a chain that loops");
	chain.max = 4;
	assert_int_equal(vq_pop(&vq, &chain), -EINVAL);
	assert_string_equal(vq.error, "too many buffers in a chain");
}

static void a_chain_that_loops_in_an_indirect_table(void **state)
{
	uint64_t table = rig_alloc(&rig, 32);

	(void)state;
	ring_desc(&rig, table, 0, data, 1, NEXT, 1);
	ring_desc(&rig, table, 1, data, 1, NEXT, 1);
	desc(0, table, 32, INDIRECT, 0);
	assert_nonsense("a chain that loops");
}

static void a_next_index_beyond_the_ring(void **state)
{
	(void)state;
	desc(0, data, 1, NEXT, SIZE);
	assert_nonsense("a descriptor index beyond its table");
}

static void a_next_index_beyond_an_indirect_table(void **state)
{
	uint64_t table = rig_alloc(&rig, 32);

	(void)state;
	ring_desc(&rig, table, 0, data, 1, NEXT, 2);
	ring_desc(&rig, table, 2, data, 1, 0, 0);
	desc(0, table, 32, INDIRECT, 0);
	assert_nonsense("a descriptor index beyond its table");
}

static void indirect_with_next(void **state)
{
	(void)state;
	desc(0, data, 16, INDIRECT | NEXT, 1);
	desc(1, data, 1, 0, 0);
	assert_nonsense("an indirect descriptor with a next one");
}

static void nested_indirect(void **state)
{
	uint64_t table = rig_alloc(&rig, 16);

	(void)state;
	ring_desc(&rig, table, 0, table, 16, INDIRECT, 0);
	desc(0, table, 16, INDIRECT, 0);
	assert_nonsense("an indirect descriptor in an indirect table");
}

static void indirect_not_negotiated(void **state)
{
	(void)state;
	vq.indirect = false;
	desc(0, data, 16, INDIRECT, 0);
	assert_nonsense("an indirect descriptor that was not negotiated");
}

static void indirect_tables_of_wrong_length(void **state)
{
	static const uint32_t lengths[] = {0, 1, 15, 17, 0xffffffff};

	(void)state;
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		desc(0, data, lengths[i], INDIRECT, 0);
		ring_set_avail_index(&ring, 0);
		ring.offered = 0;
		assert_nonsense("an indirect table of a wrong length");
	}
}

static void indirect_tables_outside_ram(void **state)
{
	static const uint64_t places[] = {RIG_RAM, RIG_RAM - 16, UINT64_MAX - 15, 1ULL << 63};

	(void)state;
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		desc(0, places[i], 32, INDIRECT, 0);
		ring_set_avail_index(&ring, 0);
		ring.offered = 0;
		assert_nonsense("an indirect table outside RAM");
	}
}

static void a_buffer_of_no_length(void **state)
{
	(void)state;
	desc(0, data, 0, 0, 0);
	assert_nonsense("a buffer of no length");
}

static void buffers_outside_ram(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{RIG_RAM, 1},
		{RIG_RAM - 1, 2},
		{0, 0xffffffff},
		{UINT64_MAX, 1},
		{UINT64_MAX - 99, 200}, /* wraps to within RAM */
		{1ULL << 63, 1},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		desc(0, bad[i].addr, bad[i].len, WRITE, 0);
		ring_set_avail_index(&ring, 0);
		ring.offered = 0;
		assert_nonsense("a buffer outside RAM");
	}
	/* The last byte is in. */
	desc(0, RIG_RAM - 1, 1, WRITE, 0);
	assert_int_equal(vq_pop(&vq, &chain), 1);
}

static void readable_after_writable(void **state)
{
	(void)state;
	desc(0, data, 1, WRITE | NEXT, 1);
	desc(1, data, 1, 0, 0);
	assert_nonsense("a readable buffer after a writable one");
}

static void an_available_index_that_jumps(void **state)
{
	(void)state;
	desc(0, data, 1, 0, 0);
	ring_set_avail_index(&ring, SIZE + 1);
	assert_int_equal(vq_pop(&vq, &chain), -EINVAL);
	assert_string_equal(vq.error, "an available index that jumps");
	/* Backwards is forwards by nearly 65536. */
	ring_set_avail_index(&ring, 0xffff);
	assert_int_equal(vq_pop(&vq, &chain), -EINVAL);
	ring_set_avail_index(&ring, SIZE);
	assert_int_equal(vq_pop(&vq, &chain), 1);
}

static void a_head_beyond_the_ring(void **state)
{
	(void)state;
	ring_offer(&ring, SIZE);
	assert_int_equal(vq_pop(&vq, &chain), -EINVAL);
	assert_string_equal(vq.error, "a head beyond the ring");
}

static void a_head_in_flight_twice(void **state)
{
	(void)state;
	desc(3, data, 1, 0, 0);
	ring_offer(&ring, 3);
	ring_offer(&ring, 3);
	assert_int_equal(vq_pop(&vq, &chain), 1);
	assert_int_equal(vq_pop(&vq, &chain), -EINVAL);
	assert_string_equal(vq.error, "a head that is in flight already");
	vq_push(&vq, 3, 0);
	assert_int_equal(vq_pop(&vq, &chain), 1);
}

/* All that overlaps itself is the guest's own harm: the used ring over the descriptors. */
static void rings_that_overlap(void **state)
{
	(void)state;
	assert_int_equal(vq_setup(&vq, &rig.ram, SIZE, ring.desc, ring.desc, ring.desc), 0);
	for (unsigned i = 0; i < 100; i++) {
		int r = vq_pop(&vq, &chain);
		if (r > 0)
			vq_push(&vq, chain.head, 1);
		vq_arm(&vq);
		vq_event_wanted(&vq);
	}
}

static void a_stopped_ring_does_nothing(void **state)
{
	(void)state;
	desc(0, data, 1, 0, 0);
	ring_offer(&ring, 0);
	assert_int_equal(vq_pop(&vq, &chain), 1);
	vq_stop(&vq);
	vq_push(&vq, 0, 1);
	assert_int_equal(ring_used_index(&ring), 0);
	assert_int_equal(vq_pop(&vq, &chain), 0);
	assert_false(vq_arm(&vq));
	assert_false(vq_event_wanted(&vq));
}

/* Random rings: whatever comes out lies within RAM. ASan and the guards watch the rest. */
static void random_rings(void **state)
{
	uint64_t x = 88172645463325252ULL;
	unsigned taken = 0;

	(void)state;
	for (unsigned turn = 0; turn < 20000; turn++) {
		uint64_t word[3];
		for (unsigned i = 0; i < 3; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			word[i] = x;
		}
		unsigned flags = word[2] & 7;
		uint64_t addr = word[0] % (word[2] & 8 ? UINT64_MAX : RIG_RAM);
		uint32_t len = (uint32_t)(word[2] & 16 ? word[1] : word[1] % 256);
		desc(word[1] >> 40 & 7, addr, flags & INDIRECT ? len & ~15U : len, flags,
			word[1] >> 32 & 7);
		ring_offer(&ring, word[2] >> 32 & 7);

		int r = vq_pop(&vq, &chain);
		assert_true(r == 1 || r == -EINVAL);
		for (unsigned i = 0; r == 1 && i < chain.outs + chain.ins; i++) {
			const unsigned char *base = iov[i].iov_base;
			assert_true(base >= rig.ram.base && iov[i].iov_len > 0);
			assert_true(base + iov[i].iov_len <= rig.ram.base + rig.ram.size);
		}
		if (r == 1) {
			vq_push(&vq, chain.head, 0);
			taken++;
		} else {
			ring.offered = vq.next_avail;
			ring_set_avail_index(&ring, ring.offered);
		}
	}
	assert_true(taken > 1000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup_refuses_bad_sizes),
		TEST(setup_refuses_misaligned_rings),
		TEST(setup_refuses_rings_outside_ram),
		TEST(a_chain_comes_out_as_laid_out),
		TEST(indirect_tables),
		TEST(an_indirect_chain_longer_than_the_ring),
		TEST(indexes_wrap),
		TEST(bytes_across_buffers),
		TEST(events_by_index),
		TEST(events_by_flag),
		TEST(arming_asks_for_the_next_doorbell),
		TEST(a_chain_that_loops),
		TEST(a_chain_that_loops_in_an_indirect_table),
		TEST(a_next_index_beyond_the_ring),
		TEST(a_next_index_beyond_an_indirect_table),
		TEST(indirect_with_next),
		TEST(nested_indirect),
		TEST(indirect_not_negotiated),
		TEST(indirect_tables_of_wrong_length),
		TEST(indirect_tables_outside_ram),
		TEST(a_buffer_of_no_length),
		TEST(buffers_outside_ram),
		TEST(readable_after_writable),
		TEST(an_available_index_that_jumps),
		TEST(a_head_beyond_the_ring),
		TEST(a_head_in_flight_twice),
		TEST(rings_that_overlap),
		TEST(a_stopped_ring_does_nothing),
		TEST(random_rings),
	};

	return cmocka_run_group_tests_name("virtqueue", tests, NULL, NULL);
}
