/* SPDX-License-Identifier: MIT */
/* What a vCPU does to others of its machine: events, wake-ups, and when they arrive. */
#include <linux/membarrier.h>

#include "stub/stub.h"
#include "stub/sys.h"

#define EAGAIN 11
#define IPI_EVENTS (((1UL << LUCID_IPIS) - 1) << LUCID_EVENT_IPI(0))

static struct lucid_vcpu *other(uint64_t id)
{
	return (struct lucid_vcpu *)(LUCID_VCPUS_ADDR + id * LUCID_VCPU_SIZE);
}

/*
 * machine.kick: a number that each kick which arrives counts up, and each change of the
 * holder of the baton, and in its low bits whether a kick with that number is on its way.
 */
#define KICK_SENDING 1ul /* somebody is about to */
#define KICK_SENT 2ul /* the holder has been signalled, and has not come to kick_taken() */
#define KICK_STATE 3ul

/* A byte into the vCPU's FIFO makes the host signal its owner, who has the baton. */
static void write_fifo(uint64_t id)
{
	unsigned char buffer[4096];
	int fd = STUB_FD_KICK + (int)id;

	vcpu->count_kick++;
	/* Nobody needs the bytes: who finds it full empties it. */
	while (sys3(__NR_write, fd, (long)buffer, 1) == -EAGAIN)
		sys3(__NR_read, fd, (long)buffer, sizeof(buffer));
}

static bool change(unsigned long *word, unsigned long from, unsigned long to)
{
	return __atomic_compare_exchange_n(
		word, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/*
 * A kick that has been sent and not been looked at yet does for all who want one: without
 * that, kicks in quick succession would each interrupt the handler of the last one, until
 * there is no room on the signal stack. With the same number from before to after the
 * write the signal went to whoever has the baton now.
 */
static void kick(uint64_t id)
{
	unsigned long *word = &machine->kick[id];
	unsigned long seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);

	if ((seen & KICK_STATE) == KICK_SENT)
		return;
	if ((seen & KICK_STATE) || !change(word, seen, seen | KICK_SENDING)) {
		write_fifo(id);
		return;
	}
	write_fifo(id);
	change(word, seen | KICK_SENDING, seen | KICK_SENT);
}

void kick_taken(void)
{
	unsigned long *word = &machine->kick[vcpu->id % LUCID_VCPUS], seen;

	do
		seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	while (!change(word, seen, (seen | KICK_STATE) + 1));
}

/*
 * The order is the monitor's, vcpu_raise(): bits, then a look where the vCPU is. Whoever
 * set the first bit has told it, or is about to.
 */
void send_events(uint64_t id, uint64_t events)
{
	struct lucid_vcpu *v = other(id);

	if (!events || __atomic_fetch_or(&v->pending, events, __ATOMIC_SEQ_CST))
		return;
	if (__atomic_exchange_n(&v->halted, 0, __ATOMIC_SEQ_CST))
		sys_futex_wake(&v->halted);
	else if (id != vcpu->id)
		kick(id);
}

void hypercall_send(uint64_t id, uint64_t events);
void hypercall_send(uint64_t id, uint64_t events)
{
	if (id >= info->vcpus)
		return;
	vcpu->count_send++;
	send_events(id, events & IPI_EVENTS);
}

void hypercall_wake(uint64_t id);
void hypercall_wake(uint64_t id)
{
	struct lucid_vcpu *v = other(id);

	if (id >= info->vcpus)
		return;
	__atomic_store_n(&v->woken, 1, __ATOMIC_SEQ_CST);
	if (__atomic_exchange_n(&v->halted, 0, __ATOMIC_SEQ_CST))
		sys_futex_wake(&v->halted);
}

/*
 * LUCID_HC_SYNC: kicks them all, whoever may have done so before. A kick is a signal,
 * pending from now on. The barrier interrupts every CPU of the host that runs a space, and
 * the way back to user mode from that interrupt delivers the signal; a space that does not
 * run takes it before all else when it does.
 */
long hypercall_sync(uint64_t vcpus);
long hypercall_sync(uint64_t vcpus)
{
	uint64_t id;

	for (id = 0; id < info->vcpus; id++)
		if ((vcpus >> id & 1) && id != vcpu->id)
			kick(id);
	/* It goes to the space, and only from there to its twin, which runs meanwhile. */
	if (priv->twin)
		return LUCID_E_NOSYS;
	return sys3(__NR_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) ? LUCID_E_NOSYS : 0;
}
