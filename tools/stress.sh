#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# make stress: stress-ng --verify in a guest with several virtual CPUs, over memory, processes,
# threads, sockets, scheduling and CPUs that go and come. Fails if stress-ng does, or if the
# guest's kernel has anything to say about it.
#
#   SECONDS_ALL=300   how long in all
#   CPUS=4            virtual CPUs
#   LUCID=PATH        another lucid
set -euo pipefail
cd "$(dirname "$0")/.."

lucid=${LUCID:-$PWD/lucid}
all=${SECONDS_ALL:-300}
cpus=${CPUS:-4}
root=build/debian.erofs
[ -e "$root" ] || { echo "stress: build/debian.erofs is missing; call make debian" >&2 && exit 1; }

# Groups that run one after another, each with all of its stressors at once.
groups=(
	"--mmap 2 --mmap-bytes 32M --mmapfork 1 --mremap 1 --mprotect 1 --madvise 1"
	"--vm 2 --vm-bytes 64M --fault 1 --brk 1 --stack 1"
	"--fork 2 --vfork 1 --exec 2 --clone 1"
	"--futex 2 --pthread 2 --sem 1 --mutex 1 --membarrier 1 --rseq 1"
	"--sock 2 --sockpair 1 --pipe 2 --mq 1"
	"--schedpolicy 1 --yield 2 --switch 2 --affinity 2 --cpu 2"
	"--sigsegv 1 --sigq 1 --kill 1 --timer 1 --itimer 1 --nanosleep 1"
	"--cpu-online 1 --fork 1 --mmap 1 --mmap-bytes 16M --futex 1"
)
each=$((all / ${#groups[@]}))
[ $each -gt 0 ] || each=1

script='cd /tmp; status=0; dmesg -C
while read -r line; do
	echo "== $line"
	# shellcheck disable=SC2086
	stress-ng --verify --quiet --timeout '$each' --temp-path /tmp $line || { echo "status $?"; status=1; }
done
if dmesg | grep -vE "process .stress-ng|stress-ng.*(segfault|trap|uses obsolete|memfd_create)|smpboot|is now offline|Booting Node" |
	grep -E "BUG|WARNING|Oops|Call Trace|stall|lockup|hung|bad|cut here|oom"; then status=1; fi
exit $status'

printf '%s\n' "${groups[@]}" | timeout -k 5 $((all * 3 + 60)) "$lucid" run --cpus "$cpus" \
	--memory 2G --rootfs "$root" -- /bin/bash -c "$script"
echo "stress: $cpus CPUs, ${#groups[@]} groups of $each s passed"
