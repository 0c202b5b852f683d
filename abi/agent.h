/* SPDX-License-Identifier: MIT */
/*
 * What the monitor and the agent say to each other.
 *
 * The agent is process 1 of the guest. It finds four virtio-console ports by
 * name: one for control, with the messages below, and three that carry the
 * bytes of the command's standard streams and nothing else.
 *
 * A message is a struct agent_header and then length bytes of body. All numbers
 * are little-endian. The order of a session:
 *
 *	guest			host
 *	HELLO
 *				START
 *	STARTED
 *				WINSIZE, SIGNAL, CLOSED, SHUTDOWN, as they come
 *	EXITED
 *				DONE
 *
 * An ERROR ends the session in place of STARTED or of EXITED. After DONE or
 * ERROR the agent writes back what is dirty and powers the guest off. A version that is not
 * the reader's own, a type that it does not know and a length beyond the bound
 * end the session.
 *
 * End of the command's input: the host closes its end of the port "stdin". The
 * guest closing that port means that nobody reads the input any more.
 */
#ifndef LUCID_ABI_AGENT_H
#define LUCID_ABI_AGENT_H

#include <stdint.h>

#define AGENT_VERSION 3
#define AGENT_MAGIC 0x61646c6cU

#define AGENT_PORT_CONTROL "lucid.control"
#define AGENT_PORT_STDIN "lucid.stdin"
#define AGENT_PORT_STDOUT "lucid.stdout"
#define AGENT_PORT_STDERR "lucid.stderr"

/* Greatest body of a message from the guest, and from the host. */
#define AGENT_GUEST_MAX 1024
#define AGENT_HOST_MAX (1U << 20)

struct agent_header {
	uint32_t type;
	uint32_t length; /* of the body, in bytes */
};

/* ---- From the guest ------------------------------------------------------- */

/* The agent runs, and has not mounted anything but /dev and /sys: struct agent_hello. */
#define AGENT_HELLO 1
/* The command has been executed. No body. */
#define AGENT_STARTED 2
/* The command has ended: struct agent_exited. */
#define AGENT_EXITED 3
/* The command cannot be run: struct agent_error, then one line of text without newline or NUL. */
#define AGENT_ERROR 4

struct agent_hello {
	uint32_t magic; /* AGENT_MAGIC */
	uint32_t version; /* AGENT_VERSION */
};

struct agent_exited {
	uint32_t status; /* 0 .. 255; 128 + signal if a signal ended the command */
	uint32_t signal; /* that signal, else 0 */
	/* Bytes the agent wrote on the ports: the host has all of the output once it has as many.
	 */
	uint64_t stdout_bytes;
	uint64_t stderr_bytes;
};

struct agent_error {
	uint32_t status; /* 125: the set-up failed, 126: not executable, 127: not found */
};

/* ---- From the host -------------------------------------------------------- */

/*
 * What to run: struct agent_start, then nets times struct agent_net, then strings, each with
 * its NUL, in this order: file system type of the root disk, host name, working directory,
 * argc arguments, envc variables K=V, and two for each of the folders: "ro" or nothing, and where
 * to mount it. Empty strings ask for the default; argc 0 for an interactive shell.
 */
#define AGENT_START 16
/* The terminal's size has changed: struct agent_winsize. */
#define AGENT_WINSIZE 17
/* A signal for the command's process group: struct agent_signal. */
#define AGENT_SIGNAL 18
/* Nobody reads stdout (1) or stderr (2) any more: struct agent_closed. */
#define AGENT_CLOSED 19
/* End the command, SIGTERM first, and power off. No body. */
#define AGENT_SHUTDOWN 20
/* All that EXITED counted has been written: power off. Before it, the reset of the
 * devices would lose what is still in their queues. No body. */
#define AGENT_DONE 21

/* agent_start.root */
#define AGENT_ROOT_INITRD 0 /* stay in the initramfs */
#define AGENT_ROOT_OVERLAY 1 /* /dev/vda read-only, under an overlay in memory */
#define AGENT_ROOT_RW 2 /* /dev/vda, read-write */
#define AGENT_ROOT_FOLDER 3 /* the first of the folders */

/* Folders of the host are virtiofs with this tag, and their number behind it. */
#define AGENT_FOLDER_TAG "folder"

/* agent_start.flags */
#define AGENT_TTY (1U << 0) /* run the command on a terminal of its own */
/* Over vsock alone: instead of a command, base/tree.h from stdin to, or to stdout from, argv[0]. */
#define AGENT_PUT (1U << 1)
#define AGENT_GET (1U << 2)

struct agent_winsize {
	uint16_t rows, cols, xpixel, ypixel;
};

struct agent_start {
	uint32_t version; /* AGENT_VERSION */
	uint32_t root; /* AGENT_ROOT_* */
	uint32_t flags; /* AGENT_TTY */
	uint32_t uid, gid;
	struct agent_winsize winsize;
	uint32_t argc, envc;
	uint32_t nets; /* at most AGENT_NETS_MAX */
	uint32_t folders;
	/* What it may grow to, in bytes: file systems in memory are made for that; 0: it does not.
	 */
	uint64_t memory_max;
};

#define AGENT_NETS_MAX 8

/* agent_net.flags */
#define AGENT_NET_IP4 (1U << 0) /* ip4 and prefix4 are to be set */
#define AGENT_NET_IP6 (1U << 1)
#define AGENT_NET_DHCP (1U << 2) /* ask for an IPv4 address; IPv6 by router advertisements */

/* A network card and how to set it up. Addresses in network order; all zero: none. */
struct agent_net {
	uint8_t mac[6];
	uint16_t flags; /* AGENT_NET_* */
	uint8_t prefix4, prefix6; /* bits */
	uint8_t ip4[4], gateway4[4], dns4[4];
	uint8_t ip6[16], gateway6[16], dns6[16];
	uint8_t pad[2];
};

struct agent_signal {
	uint32_t signal; /* 1 .. 64 */
};

struct agent_closed {
	uint32_t stream; /* 1 or 2 */
};

/* ---- Streams: lucid exec and lucid attach ---------------------------------- */

/*
 * One connection carries a command's three streams, in messages of the form above. The side
 * that has the terminal is the client; the server is the agent (exec, over vsock) or the
 * monitor (attach, on an upgraded connection of the control socket). The client speaks first:
 *
 *	client				server
 *	START (exec), WINSIZE (attach)
 *					STARTED, or ERROR
 *	INPUT, INPUT_END, WINSIZE,
 *	SIGNAL, CLOSED, as they come
 *					OUTPUT, ERRORS, CREDIT, as they come
 *					EXITED, or ERROR, which is the last
 *
 * Data goes in pieces of at most STREAM_DATA_MAX bytes. The client may send STREAM_WINDOW bytes of
 *input, and then as many as CREDIT grants. That the connection ends is a hang-up: a command run by
 * exec gets SIGHUP, an attached one goes on.
 */
#define STREAM_INPUT 32
#define STREAM_INPUT_END 33
#define STREAM_OUTPUT 34 /* stdout, or the terminal */
#define STREAM_ERRORS 35 /* stderr */
#define STREAM_CREDIT 36 /* struct stream_credit */

#define STREAM_DATA_MAX 32768
#define STREAM_WINDOW 65536

/* The agent's port of virtio-vsock. */
#define AGENT_VSOCK_PORT 1024u

struct stream_credit {
	uint32_t bytes;
};

#endif
