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

"$LUCID" run -- sh -c 'echo ready; sleep 100' </dev/null >"$TMP/out" 2>"$TMP/err" &
pid=$!
check 'guest is up' soon out_has ready
sleep 2
before=$(ticks)
sleep 10
after=$(ticks)
echo "# $((after - before)) ticks of 10 ms in 10 s"
check 'under 0.5 % of a core' [ $((after - before)) -le 5 ]
kill -TERM $pid
wait $pid
finish
