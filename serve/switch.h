/* SPDX-License-Identifier: MIT */
/*
 * The switch that machines with --net socket=PATH meet on: a process of its own.
 *
 * A port is a connection to the SOCK_SEQPACKET socket at PATH; a message is one
 * frame with its virtio-net header. Frames go to where their destination was last
 * seen as a source, others to all ports.
 */
#ifndef SERVE_SWITCH_H
#define SERVE_SWITCH_H

/* Serves until the last port is gone, then removes the socket. The process's exit status. */
int switch_serve(int listener, const char *path);

#endif
