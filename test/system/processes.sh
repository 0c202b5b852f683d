# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Processes and threads in the guest.
# timeout: 300
# as: nobody
. "$TREE/test/system/lib.sh"

make_root "$TMP/root" programs
RUN_TIMEOUT=120
root() {
	lucid --rootfs "$TMP/root" -- "$@"
}

guest 'i=0; while [ $i -lt 1000 ]; do (exit 0) || exit 1; i=$((i + 1)); done; echo done'
check '1,000 forks' both 0 'done'
guest 'i=0; while [ $i -lt 300 ]; do /bin/busybox true || exit 1; i=$((i + 1)); done; echo done'
check '300 execs' both 0 'done'
guest 'i=0; while [ $i -lt 100 ]; do sleep 1 & i=$((i + 1)); done; wait; echo done'
check '100 at a time' both 0 'done'
root threads
check 'threads' both 0 ok
# Without protection keys there is no wall to the kernel's memory, and nothing to check.
if grep -qw pku /proc/cpuinfo; then root mappings; else root mappings no-keys; fi
check 'mmap, mprotect, copy on write' both 0 ok
root patched
check 'patched system calls' both 0 ok
lucid --rootfs "$TMP/root" --append lucid_patch=off -- patched off
check 'no patched system calls' both 0 ok
root vectors
check 'vector registers across switches' both 0 ok
guest 'uname -s; [ "$(grep -c processor /proc/cpuinfo)" = "$(nproc)" ] && echo all CPUs'
check 'a Linux with all its CPUs' both 0 'Linux
all CPUs'
finish
