/* SPDX-License-Identifier: MIT */
/* lucid logs: what a detached machine has said. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/rundir.h"
#include "base/log.h"
#include "cli/targets.h"
#include "monitor/logfile.h"

#define POLL_NS 100000000

/* Where following has come to. */
struct place {
	ino_t file;
	off_t at;
};

static bool copy_out(int fd)
{
	char data[65536];
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) > 0) {
		for (ssize_t done = 0; done < n;) {
			ssize_t w = write(STDOUT_FILENO, data + done, (size_t)(n - done));

			if (w < 0 && errno == EINTR)
				continue;
			if (w <= 0)
				return false;
			done += w;
		}
	}
	return n == 0;
}

/* Writes what has come since place. -1: no log; else whether it could be written. */
static int write_new(const char *name, struct place *place)
{
	int part[2], n = logfile_read(name, part);
	bool known = false, ok = true;
	struct stat st;

	for (int i = 0; i < 2; i++)
		known = known || (part[i] >= 0 && place->file && fstat(part[i], &st) == 0 &&
					 st.st_ino == place->file && st.st_size >= place->at);
	for (int i = 0; i < 2; i++) {
		if (part[i] < 0)
			continue;
		if (known && fstat(part[i], &st) == 0 && st.st_ino == place->file) {
			lseek(part[i], place->at, SEEK_SET);
			known = false; /* what comes after it is all new */
		}
		if (!known && fstat(part[i], &st) == 0 && (st.st_size > 0 || place->file == 0)) {
			ok = ok && copy_out(part[i]);
			*place = (struct place){st.st_ino, lseek(part[i], 0, SEEK_CUR)};
		}
		close(part[i]);
	}
	return n == 0 ? -1 : ok;
}

static bool is_running(const char *name)
{
	int dir = rundir_enter(name);

	if (dir >= 0)
		close(dir);
	return dir >= 0;
}

static int show(const char *name, bool follow)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	struct place place = {0};
	int r;

	if (!rundir_name_valid(name)) {
		log_error("%s: not a name; see `lucid ps`", name);
		return EXIT_LUCID;
	}
	for (;;) {
		/* Before the last look, or what is written between the two is lost. */
		bool more = follow && is_running(name);

		r = write_new(name, &place);
		if (r <= 0 || !more)
			break;
		nanosleep(&pause, NULL);
	}
	if (r < 0)
		log_error("there is no log of %s; only detached machines have one", name);
	else if (r == 0)
		log_error("cannot write to stdout: %s; is its disk full?", strerror(errno));
	return r > 0 ? 0 : EXIT_LUCID;
}

static int logs_main(int argc, char **argv)
{
	bool follow = false;
	const struct target_option options[] = {{.name = "follow", .flag = &follow}, {0}};
	struct targets t;
	int status = targets_parse(&t, &verb_logs, TARGETS_ONE, options, argc, argv, NULL);

	if (status < 0)
		status = show(t.name[0], follow);
	targets_free(&t);
	return status;
}

const struct verb verb_logs = {
	.name = "logs",
	.summary = "show what a detached machine has written",
	.help = "Usage: lucid logs [--follow] NAME\n"
		"\n"
		"Shows what the command of a detached machine has written, and what Lucid said of\n"
		"it; the last MiB at least. The log of a machine that has ended stays until its\n"
		"name is used again.\n"
		"\n"
		"  --follow   go on until the machine ends\n"
		"  --help     this text\n",
	.main = logs_main,
};
