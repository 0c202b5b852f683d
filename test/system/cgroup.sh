# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# --host-memory and --host-cpu: limits of the host for a machine as a whole, in a cgroup of its own.
# as: nobody
. "$TREE/test/system/lib.sh"

groups() {
	find /sys/fs/cgroup -type d -name 'lucid-*' 2>/dev/null
}
before=$(groups)
lucid --host-memory 400M --host-cpu 0.5 -- true
if [ $status -eq 125 ]; then
	check 'no group: an error that helps' err_has '^lucid: no control group .*; try `systemd-run'
	check 'and nothing else' bad_input
	skip 'limits: this host lets this user make no cgroup v2 with memory and cpu'
	finish
fi
check 'a machine with limits' status_is 0
check 'its group is gone' [ "$(groups)" = "$before" ]

lucid --host-memory 160M --memory 512M -- sh -c 'dd if=/dev/zero of=/tmp/x bs=1M count=400'
check 'one that needs more ends' status_is 125
check 'and says why' err_has "more of the host's memory than --host-memory lets it have"
check 'its group is gone, too' [ "$(groups)" = "$before" ]

# A loop of a second takes at least two and a half at 40 %.
begun=${EPOCHREALTIME/./}
lucid --host-cpu 40% -- sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done'
limited=$((${EPOCHREALTIME/./} - begun))
begun=${EPOCHREALTIME/./}
lucid -- sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done'
free=$((${EPOCHREALTIME/./} - begun))
echo "# $((limited / 1000)) ms, $((free / 1000)) ms without"
check 'CPU time is limited' [ $((limited * 2)) -gt $((free * 3)) ]

# What a killed one leaves, the next one removes.
background "$LUCID" run --host-memory 400M -- sleep 100
soon test "$(groups)" != "$before"
kill -KILL $pid
wait $pid 2>/dev/null
sleep 0.3
lucid --host-memory 400M -- true
check 'after one that was killed' [ "$(groups)" = "$before" ]
finish
