# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Where a virtual CPU runs: on one CPU of the host, until somebody else wants that.
# as: nobody
# timeout: 60
. "$TREE/test/system/lib.sh"

if [ "$(nproc)" -lt 2 ]; then
	skip 'one CPU: no choice'
	exit 0
fi

spaces() {
	local pid
	for pid in $(tr ' ' '\n' <"/proc/$vm/task/$vm/children"); do
		! grep -q '^lucid-space' "/proc/$pid/comm" || echo "$pid"
	done
}

# The CPU that the guest was on, seen often, while it ran.
where() {
	local i pid stat
	for ((i = 0; i < 200; i++)); do
		for pid in $(spaces); do
			read -r stat <"/proc/$pid/stat" || continue
			# shellcheck disable=SC2086 # words are wanted
			set -- ${stat##*) }
			[ "$1" != R ] || echo "${37}"
		done
		sleep 0.01
	done >"$TMP/where"
}

# On another CPU than just before, of a hundred times.
moves() {
	awk 'NR > 1 && $1 != last { moves++ } { last = $1 } END { print int(100 * moves / NR) }' \
		"$TMP/where"
}

# Where it was last.
last() {
	tail -n 1 "$TMP/where"
}

start() {
	background "$LUCID" run --cpus 1 -- sh -c "$1"
	vm=$pid
	soon out_has ready
	sleep 1
}

stop() {
	kill -KILL "$vm"
	wait "$vm" 2>/dev/null
}

start 'echo ready; while :; do /bin/true; done'
where
echo "# $(moves) of 100"
check 'the spaces of a virtual CPU keep together' [ "$(moves)" -lt 25 ]
stop

start 'echo ready; while :; do :; done'
where
cpu=$(last)
# shellcheck disable=SC2016 # not to be expanded here
taskset -c "$cpu" sh -c 'while :; do :; done' &
hog=$!
sleep 2
where
there=$(grep -c "^$cpu$" "$TMP/where")
echo "# $there of $(wc -l <"$TMP/where") beside a hog"
check 'away from who wants the same CPU' [ "$there" -lt 100 ]
kill -KILL $hog
wait $hog 2>/dev/null
stop
finish
