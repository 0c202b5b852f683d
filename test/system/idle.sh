# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# An idle guest costs next to nothing.
. "$TREE/test/system/lib.sh"

# Clock ticks (10 ms) that all processes of lucid have used.
ticks() {
	local pid sum=0 used
	for pid in $(lucid_processes); do
		used=$(awk '{ print $14 + $15 }' "/proc/$pid/stat" 2>/dev/null)
		sum=$((sum + ${used:-0}))
	done
	echo $sum
}

# Times that their threads have slept and were woken.
wakeups() {
	local pid
	for pid in $(lucid_processes); do
		cat "/proc/$pid/status" 2>/dev/null
	done | awk '/^voluntary_ctxt_switches:/ { sum += $2 } END { print sum }'
}

for cpus in 1 4 64; do
	"$LUCID" run --cpus $cpus -- sh -c 'echo ready; sleep 100' </dev/null >"$TMP/out" 2>"$TMP/err" &
	pid=$!
	check "guest with $cpus CPUs is up" soon out_has ready
	sleep 3
	before=$(ticks)
	woken=$(wakeups)
	sleep 10
	after=$(ticks)
	woken=$(($(wakeups) - woken))
	echo "# $((after - before)) ticks of 10 ms and $woken wake-ups in 10 s"
	check "under 0.5 % of a core, $cpus CPUs" [ $((after - before)) -le 5 ]
	check "under 20 wake-ups a second, $cpus CPUs" [ $woken -lt 200 ]
	kill -TERM $pid
	wait $pid
done
finish
