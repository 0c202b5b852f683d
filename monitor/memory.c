/* SPDX-License-Identifier: MIT */
/*
 * The size of a machine. Growing is quick, since what waits for memory may be killed for want of
 * it; shrinking is slow, since what was given up a moment ago may be wanted again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "device/mem.h"
#include "monitor/memory.h"

#define MIB (1ULL << 20)
#define STEP_MIN (128 * MIB)
/* A guest that has grown is looked at this often. */
#define LOOK_SECONDS 2
/* It shrinks when it has had more than it needs for so many looks. */
#define CALM_LOOKS 5
/* What "some" tasks of the host may lose to waiting for memory: 10 % of two seconds. */
#define PRESSURE "some 200000 2000000"
#define PRESSURE_FILE "/proc/pressure/memory"

struct memory {
	struct loop *loop;
	struct memory_config config;
	struct balloon *balloon;
	struct mem *mem; /* NULL: it does not grow */
	uint64_t wish; /* the user's, or what the guest has grown to */
	uint64_t squeezed; /* bytes that the host's need takes from that */
	uint64_t over; /* plugged beyond what it is to have, as last seen */
	uint64_t stuck; /* of that what has not gone since, which the balloon takes instead */
	unsigned calm; /* looks since it last needed what it has */
	int timer; /* looks; runs while there is something to look after */
	int pressure; /* of the host, or -1 */
	bool pressed; /* since the last look */
};

static uint64_t align_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t region_start(const struct memory_config *c)
{
	return align_up(c->boot, MEM_ALIGN);
}

static uint64_t region_size(const struct memory_config *c)
{
	return c->max > c->boot ? align_up(c->max - c->boot, MEM_ALIGN) : 0;
}

uint64_t memory_ram_size(const struct memory_config *c)
{
	return region_size(c) ? region_start(c) + region_size(c) : c->boot;
}

/* ---- The two devices -------------------------------------------------------------- */

/* What is to be plugged. */
static uint64_t above(const struct memory *m)
{
	return m->wish > m->config.boot ? m->wish - m->config.boot : 0;
}

static uint64_t over(const struct memory *m)
{
	uint64_t plugged = m->mem ? mem_plugged(m->mem) : 0;

	return plugged - min_of(plugged, above(m));
}

static void set_timer(struct memory *m)
{
	bool on = m->squeezed > 0 || above(m) > 0 || over(m) != m->stuck;
	const struct itimerspec t = {
		.it_value.tv_sec = on ? LOOK_SECONDS : 0,
		.it_interval.tv_sec = on ? LOOK_SECONDS : 0,
	};

	timerfd_settime(m->timer, 0, &t, NULL);
}

/* Tells the devices what the wish and the squeeze come to. */
static void apply(struct memory *m)
{
	uint64_t size = m->wish - m->squeezed;
	uint64_t have = m->config.boot + above(m) + m->stuck, give = have - size;

	if (m->mem && mem_target(m->mem) != above(m))
		mem_set(m->mem, above(m));
	if (balloon_target(m->balloon) != give || balloon_actual(m->balloon) != give)
		balloon_set(m->balloon, give);
}

int memory_set(struct memory *m, uint64_t bytes)
{
	bytes = align_up(bytes, MEM_BLOCK);
	if (bytes < MEMORY_LEAST || bytes > m->config.max)
		return -ERANGE;
	m->wish = bytes;
	m->squeezed = 0;
	m->calm = 0;
	m->over = m->stuck = 0;
	apply(m);
	set_timer(m);
	return 0;
}

uint64_t memory_target(const struct memory *m)
{
	return m->wish - m->squeezed;
}

uint64_t memory_now(const struct memory *m)
{
	uint64_t have = m->config.boot + (m->mem ? mem_plugged(m->mem) : 0);

	return have - min_of(balloon_actual(m->balloon), have);
}

uint64_t memory_max(const struct memory *m)
{
	return m->config.max;
}

/* ---- The guest's need ---------------------------------------------------------------- */

uint64_t memory_pressure(struct memory *m, uint64_t available, uint64_t total, bool urgent)
{
	uint64_t step = align_up(max_of(m->wish / 2, STEP_MIN), MEM_BLOCK), plugged;

	(void)available;
	(void)total;
	if (!m->mem)
		return 0;
	plugged = mem_plugged(m->mem);
	m->calm = 0;
	m->squeezed = 0;
	/* One step at a time, unless the guest has come to its end in the middle of one. */
	if (mem_target(m->mem) <= plugged || urgent)
		m->wish = min_of(max_of(m->wish, m->config.boot) + step, m->config.max);
	/* The balloon is left alone: what it had may just be what the guest lives on. */
	if (m->wish > m->config.boot && mem_target(m->mem) != m->wish - m->config.boot)
		mem_set(m->mem, m->wish - m->config.boot);
	set_timer(m);
	return max_of(mem_target(m->mem), plugged) - plugged;
}

/* ---- Looking after it ------------------------------------------------------------------ */

/* The guest has far more than it uses, and has had so for a while: a quarter of that goes. */
static void shrink(struct memory *m, const struct balloon_stats *s)
{
	uint64_t spare;

	if (!m->mem || m->wish <= m->config.boot || s->available < s->total / 2) {
		m->calm = 0;
		return;
	}
	if (++m->calm < CALM_LOOKS)
		return;
	spare = align_up(max_of(min_of(s->available, m->wish) / 4, STEP_MIN), MEM_BLOCK);
	m->wish = max_of(m->wish - min_of(spare, m->wish), m->config.boot);
}

/* The host is short: a quarter of what the guest could spare. Else it gets a part back. */
static void squeeze(struct memory *m, const struct balloon_stats *s)
{
	uint64_t reserve = s->total / 8, most = m->wish - min_of(m->wish, 2 * MEMORY_LEAST);

	if (m->pressed && s->available > reserve)
		m->squeezed += (s->available - reserve) / 4;
	else if (!m->pressed)
		m->squeezed -= m->squeezed > 16 * MIB ? m->squeezed / 4 : m->squeezed;
	m->squeezed = min_of(m->squeezed / MEM_BLOCK * MEM_BLOCK, most / MEM_BLOCK * MEM_BLOCK);
	m->pressed = false;
}

/* Fresh figures have come. */
static void told(void *arg)
{
	struct memory *m = arg;
	const struct balloon_stats *s = balloon_stats(m->balloon);

	/* They are the guest's own; what does not fit together is not acted upon. */
	if (s->available > s->total || s->total > m->config.max)
		return;
	shrink(m, s);
	squeeze(m, s);
	/* Blocks with memory in them that the guest's kernel cannot move stay. */
	m->stuck = over(m) == m->over ? m->over : 0;
	m->over = over(m);
	apply(m);
	set_timer(m);
}

static void timer_ready(void *arg, uint32_t events)
{
	struct memory *m = arg;
	uint64_t count;

	(void)events;
	if (read(m->timer, &count, sizeof(count)) == sizeof(count))
		balloon_ask(m->balloon);
}

static void pressure_ready(void *arg, uint32_t events)
{
	struct memory *m = arg;

	/* The host's cgroup file system may go away; then there is no pressure to hear of. */
	if (events & EPOLLERR) {
		loop_remove(m->loop, m->pressure);
		return;
	}
	m->pressed = true;
	balloon_ask(m->balloon);
}

void memory_ask(struct memory *m)
{
	balloon_ask(m->balloon);
}

const struct balloon_stats *memory_stats(const struct memory *m)
{
	return balloon_stats(m->balloon);
}

uint64_t memory_reported(const struct memory *m)
{
	return balloon_reported(m->balloon);
}

/* ---- Life --------------------------------------------------------------------------------- */

static int watch_host(struct memory *m)
{
	m->pressure = open(PRESSURE_FILE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (m->pressure >= 0 && write(m->pressure, PRESSURE, sizeof(PRESSURE)) > 0 &&
		loop_add(m->loop, m->pressure, EPOLLPRI, pressure_ready, m) == 0)
		return 0;
	log_error("--balloon auto: this host does not tell of its memory pressure (%s: %s); leave "
		  "it out",
		PRESSURE_FILE, strerror(errno));
	return -1;
}

static int create_devices(struct memory *m, struct bus *bus)
{
	const struct memory_config *c = &m->config;
	int r;

	m->balloon = balloon_create(bus, told, m);
	if (m->balloon && region_size(c))
		m->mem = mem_create(bus, region_start(c), region_size(c));
	m->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	r = !m->balloon || (region_size(c) && !m->mem) || m->timer < 0 ? -errno : 0;
	if (r == 0)
		r = loop_add(m->loop, m->timer, EPOLLIN, timer_ready, m);
	if (r < 0)
		log_error("memory devices: %s", strerror(-r));
	return r;
}

struct memory *memory_create(struct bus *bus, const struct memory_config *config)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (!m) {
		log_error("out of memory; free some");
		return NULL;
	}
	*m = (struct memory){.loop = bus->loop,
		.config = *config,
		.wish = config->boot,
		.timer = -1,
		.pressure = -1};
	if (create_devices(m, bus) == 0 && (!config->host_pressure || watch_host(m) == 0)) {
		apply(m);
		return m;
	}
	memory_destroy(m);
	return NULL;
}

static void close_watched(struct memory *m, int fd)
{
	if (fd < 0)
		return;
	loop_remove(m->loop, fd);
	close(fd);
}

void memory_destroy(struct memory *m)
{
	if (!m)
		return;
	close_watched(m, m->timer);
	close_watched(m, m->pressure);
	free(m);
}
