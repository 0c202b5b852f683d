/* SPDX-License-Identifier: MIT */
/*
 * The agent: process 1 of a Lucid guest.
 *
 * It says HELLO as soon as it has a port to say it on, sets up the rest while the host answers,
 * then runs one command and powers the guest off.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/agent/agent.h"

#define DEFAULT_HOSTNAME "lucid"

/* Without a monitor that listens, the kernel's log is all there is. */
static _Noreturn void die(int control, const struct failure *f)
{
	if (control < 0 || message_send_failure(control, f) < 0)
		system_log("%s", f->text);
	system_power_off();
}

static int prepare(const struct command *c, struct failure *f)
{
	const char *hostname = c->hostname[0] ? c->hostname : DEFAULT_HOSTNAME;

	if (sethostname(hostname, strlen(hostname)) < 0)
		return failure_set(f, 125, "host name %s: %s", hostname, strerror(errno));
	if (root_enter(c->start.root, c->fstype, c->start.memory_max, f) < 0)
		return -1;
	if (root_mount_folders(c->start.root, c->folder, f) < 0)
		return -1;
	root_write_files(hostname);
	network_set_up(c->net, c->start.nets);
	return 0;
}

int main(void)
{
	const struct agent_hello hello = {AGENT_MAGIC, AGENT_VERSION};
	int port[PORT_COUNT] = {-1, -1, -1, -1};
	struct failure f;

	if (getpid() != 1)
		return EXIT_FAILURE;
	if (root_mount_devices(&f) < 0 || ports_open(port, PORT_CONTROL, &f) < 0)
		die(-1, &f);
	message_send(port[PORT_CONTROL], AGENT_HELLO, &hello, sizeof(hello));
	if (root_mount_rest(&f) < 0 || ports_open(port, PORT_STDERR, &f) < 0)
		die(port[PORT_CONTROL], &f);
	system_loopback_up();
	serve(port, prepare);
	system_power_off();
}
