# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# An idle guest costs next to nothing.
. "$TREE/test/system/lib.sh"

# Microseconds of CPU time that all processes of lucid have used, as the scheduler counts it: ticks
# of the clock are too coarse for so little.
used() {
	local p
	for p in $(lucid_processes); do
		cat "/proc/$p"/task/*/schedstat 2>/dev/null
	done | awk '{ sum += $1 } END { printf "%d", sum / 1000 }'
}

# Times that their threads have slept and were woken.
wakeups() {
	local p
	for p in $(lucid_processes); do
		cat "/proc/$p/status" 2>/dev/null
	done | awk '/^voluntary_ctxt_switches:/ { sum += $2 } END { print sum }'
}

for cpus in 1 4 64; do
	background "$LUCID" run --cpus $cpus -- sh -c 'echo ready; sleep 100'
	check "guest with $cpus CPUs is up" soon out_has ready
	sleep 3
	before=$(used)
	woken=$(wakeups)
	sleep 10
	after=$(used)
	woken=$(($(wakeups) - woken))
	echo "# $((after - before)) us and $woken wake-ups in 10 s"
	check "under 0.5 % of a core, $cpus CPUs" [ $((after - before)) -lt 50000 ]
	check "fewer than 20 wake-ups a second, $cpus CPUs" [ $woken -lt 200 ]
	kill -TERM $pid
	wait $pid
done
finish
