/* SPDX-License-Identifier: MIT */
/*
 * The log of a detached machine: what its command and Lucid itself say, in
 * ${XDG_STATE_HOME:-~/.local/state}/lucid. It stays when the machine has ended, until its name is
 * used again or newer logs have pushed it out.
 *
 * Two files take turns, so that it never grows beyond LOGFILE_MAX bytes: when one is full the
 * other is emptied and goes on.
 */
#ifndef MONITOR_LOGFILE_H
#define MONITOR_LOGFILE_H

#include <stddef.h>

#define LOGFILE_HALF ((size_t)1 << 20)
#define LOGFILE_MAX (2 * LOGFILE_HALF)
/* Logs of ended machines that are kept. */
#define LOGFILE_KEEP 50

struct logfile {
	int fd[2]; /* appending */
	unsigned now; /* which is written */
	size_t size; /* of that one */
};

/* Begins the log of a machine anew. 0, or -1 after a reported error. */
int logfile_open(struct logfile *log, const char *name);
/* Uses write() and ftruncate() alone. */
void logfile_write(struct logfile *log, const void *data, size_t len);
void logfile_close(struct logfile *log);

/*
 * Opens what there is of a machine's log: the older part, then the newer, -1 for a part that
 * is not there. Number of parts; 0: no log.
 */
int logfile_read(const char *name, int part[2]);

#endif
