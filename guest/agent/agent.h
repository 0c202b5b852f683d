/* SPDX-License-Identifier: MIT */
/* The agent: process 1 of a Lucid guest. What its files offer to each other. */
#ifndef GUEST_AGENT_H
#define GUEST_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/agent.h"

/* A failure to be told to the host, as AGENT_ERROR brings it: exit status and one line. */
struct failure {
	struct agent_error error;
	char text[400];
};

/* Fills in a failure; returns -1, so that a caller can return its result. */
int failure_set(struct failure *f, uint32_t status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* How much of it is the body of AGENT_ERROR. */
size_t failure_size(const struct failure *f);

/* ---- port.c: the virtio-console ports --------------------------------------- */

enum { PORT_CONTROL, PORT_STDIN, PORT_STDOUT, PORT_STDERR, PORT_COUNT };

/* Opens the ports up to and including last, waiting for those that are not there yet. */
int ports_open(int fd[PORT_COUNT], int last, struct failure *f);

/* Waits until the device node exists; needs /dev and /sys. */
int device_wait(const char *path, struct failure *f);

/* ---- message.c: messages on the control port ----------------------------------- */

struct message {
	struct agent_header header;
	char *body; /* header.length bytes and a NUL */
	size_t have; /* bytes of header and body read so far */
};

/* Sends one message, waiting for room. 0 or -1. */
int message_send(int fd, uint32_t type, const void *body, size_t length);
int message_send_failure(int fd, const struct failure *f);

/*
 * Reads on. 1: the message is complete, and stays until message_clear(); 0: the rest has not
 * come yet; -1 and errno: end of the stream or a length beyond the bound.
 */
int message_receive(struct message *m, int fd);
void message_clear(struct message *m);

/* ---- root.c: file systems --------------------------------------------------------- */

/* /dev and /sys, without which there are no ports; standard streams on /dev/null. */
int root_mount_devices(struct failure *f);
/* Whatever does not depend on the root. What is optional and missing goes to the kernel's log. */
int root_mount_rest(struct failure *f);
/* Makes the root that was asked for and enters it. memory_max: see struct agent_start. */
int root_enter(uint32_t root, const char *fstype, uint64_t memory_max, struct failure *f);
/* Mounts folders of the host: pairs of options and places. That of the root is there already. */
int root_mount_folders(uint32_t root, char **folder, struct failure *f);
/* Files that programs expect; keeps those which are there. */
void root_write_files(const char *hostname);

/* ---- system.c: process 1's other duties --------------------------------------------- */

/* Writes a line to the kernel's log. */
void system_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void system_loopback_up(void);
/* Ends all processes, writes back and detaches the disks, powers off. */
_Noreturn void system_power_off(void);

/* ---- network.c, dhcp.c: the cards -------------------------------------------------------- */

/* Sets up the cards as the host says. What fails goes to the kernel's log. */
void network_set_up(const struct agent_net *net, uint32_t nets);
/* Adds (add) an address of a card to it, or a default route by way of it. false and errno. */
bool network_add_address(unsigned card, int family, const void *address, unsigned prefix);
bool network_add_gateway(unsigned card, int family, const void *gateway);
/* Name servers, by their text; the command's root is in place. */
void network_write_resolver(const char *const servers[], unsigned count);
/*
 * Asks for an address in a process that goes on to renew it; waits a few seconds for the first
 * one. servers gets the name server's text, or "".
 */
void dhcp_start(unsigned card, const char *name, const uint8_t mac[6], char server[64]);

/* ---- command.c: what the host wants run --------------------------------------------- */

struct command {
	struct agent_start start;
	struct agent_net net[AGENT_NETS_MAX];
	const char *fstype, *hostname, *workdir; /* "": default */
	char **argv, **env, **folder; /* NULL-terminated; of folders two strings each */
};

/* Takes apart the body of AGENT_START; the command points into it. */
int command_parse(struct command *c, const struct message *m, struct failure *f);
void command_free(struct command *c);

/* The agent's ends of the command's streams; non-blocking, -1: none. */
struct streams {
	int in, out, err;
	int slave; /* of a terminal: kept open, so that the master never hangs up */
};

/* Starts the command in a session of its own; its process id, or -1. */
pid_t command_spawn(const struct command *c, struct streams *s, struct failure *f);

/* ---- user.c: who runs it --------------------------------------------------------------- */

#define USER_GROUPS_MAX 64

struct user {
	char name[64], home[256], shell[256];
	gid_t groups[USER_GROUPS_MAX];
	size_t group_count;
};

/* Looks the user up in the given files, either of which may be missing. */
void user_find(struct user *u, uid_t uid, gid_t gid, const char *passwd, const char *group);

/* A copy of env with the user's defaults added; NULL without memory. */
char **user_environment(const struct user *u, char **env, bool tty);

/* ---- pump.c: streams ---------------------------------------------------------------------- */

#define PUMP_SIZE 32768

enum pump_kind {
	PUMP_TO_PORT, /* the port stays open at the end of the source */
	PUMP_TO_PIPE, /* the end of the source closes the pipe */
	PUMP_TO_TTY, /* the end of the source becomes a ^D */
};

struct pump {
	enum pump_kind kind;
	int from, to; /* owned; -1: closed */
	bool draining; /* the source is read to the end of what it holds, not waited for */
	size_t start, end; /* bytes not written yet */
	size_t limit; /* while draining: bytes still to be read */
	uint64_t total; /* bytes written */
	char data[PUMP_SIZE];
};

struct pollfd;

void pump_init(struct pump *p, enum pump_kind kind, int from, int to);
/* Sets what to wait for: two entries. */
void pump_watch(const struct pump *p, struct pollfd *fds);
/* Moves what can be moved, after poll(). */
void pump_run(struct pump *p, const struct pollfd *fds);
/* The writers have gone, except some that do not count: take what is there, then end. */
void pump_drain(struct pump *p);
/* Nothing more will be written. */
bool pump_done(const struct pump *p);
/* Drops what it holds and closes both ends: nobody wants the bytes any more. */
void pump_close(struct pump *p);

/* ---- exec.c: more commands, over vsock ------------------------------------------------------ */

/* A socket that listens for the host on AGENT_VSOCK_PORT, or -1: the kernel or the host has none.
 */
int exec_listen(void);
/* Takes a connection and serves it in a process of its own. */
void exec_accept(int listener);
/* Serves one stream (abi/agent.h) to its end; for the process of its own, and for tests. */
void exec_serve(int conn);

/* ---- serve.c: from START to the command's end ---------------------------------------------- */

/*
 * Runs the command between the ports and tells the host how it ended; returns when everything
 * has been said. Takes over the file descriptors. before_run, if not NULL, prepares the root.
 */
void serve(int fd[PORT_COUNT], int (*before_run)(const struct command *c, struct failure *f));

#endif
