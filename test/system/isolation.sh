# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# --isolation: what a guest is told, and programs in spaces of their own.
# timeout: 300
# as: nobody
. "$TREE/test/system/lib.sh"

make_root "$TMP/root" programs
RUN_TIMEOUT=120
split() {
	lucid --isolation split --rootfs "$TMP/root" -- "$@"
}

# shellcheck disable=SC2016 # the guest's shell expands it
told='while read -r word value; do [ "$word" != Lucid_isolation: ] || echo "$value"; done </proc/self/status'
split sh -c "$told"
check 'split, and /proc tells so' both 0 split
if grep -qw pku /proc/cpuinfo; then usual='unified'; else usual='split'; fi
lucid --isolation auto -- sh -c "$told"
check "auto is $usual here" both 0 "$usual"
lucid --isolation split --cpus 2 --rootfs "$TMP/root" -- split
check 'a program reaches nothing of the kernel; signals, rings, steps' both 0 ok
split threads
check 'threads' both 0 ok
split mappings
check 'mmap, mprotect, copy on write' both 0 ok
split vectors
check 'vector registers across switches' both 0 ok
split patched off
check 'no system call is patched' both 0 ok
split sh -c 'i=0; while [ $i -lt 200 ]; do (exit 0) || exit 1; i=$((i + 1)); done; echo done'
check '200 forks' both 0 'done'
split sh -c 'i=0; while [ $i -lt 100 ]; do busybox true || exit 1; i=$((i + 1)); done; echo done'
check '100 execs' both 0 'done'
finish
