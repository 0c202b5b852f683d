/* SPDX-License-Identifier: MIT */
/*
 * Stands in for the standard streams of a detached machine: what comes out goes to its log and to
 * whoever has attached, and their input goes in. To the session it looks like any other stdin,
 * stdout and stderr.
 */
#ifndef MONITOR_RELAY_H
#define MONITOR_RELAY_H

#include "base/loop.h"
#include "monitor/logfile.h"
#include "monitor/session.h"

struct relay;

/*
 * Takes the places of descriptors 0, 1 and 2; to be called before the session is made. log is the
 * caller's and stays his. NULL and errno on failure.
 */
struct relay *relay_create(struct loop *loop, struct logfile *log);
/* The session that the streams belong to, for signals and the size of terminals. */
void relay_join(struct relay *relay, struct session *session);

/* A new client on a connected socket, which is taken over. -EBUSY: there are enough. */
int relay_attach(struct relay *relay, int fd);

/* Writes what is still on its way, and tells the clients the status of the machine. */
void relay_end(struct relay *relay, int status);
void relay_destroy(struct relay *relay);

#endif
