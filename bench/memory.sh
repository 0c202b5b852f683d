# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Memory that comes and goes: what it costs to touch memory for which the machine has to grow, and
# how much of what a guest has freed the host still holds. Sourced by bench.sh.

# touch_rows SIDE: the micro benchmark's lines, with a machine that begins small.
touch_rows() {
	local options=("${options[@]}" --memory 128M..2G) rows=(touch_1g)
	"micro_$1"
}

# What a machine has of the host, in MiB: guest RAM, and all else of its processes.
memory_of() {
	local tree committed
	mapfile -t tree < <(tree_of "$("$lucid" inspect "$1" | awk '$1 == "pid" { print $2 }')")
	committed=$("$lucid" stats --json "$1" | awk -F '[:,]' '/"memory_host_bytes"/ { print $2 / 1048576 }')
	memory_rows "${tree[@]}" | awk -v all="$committed" '
		/beside|tables/ { all += $2 }
		END { print all }'
}

memory_part() {
	local round side row value prefix sides=(native lucid)
	local -x XDG_RUNTIME_DIR=$tmp/run
	prefix_of unpinned
	for ((round = 1; round <= rounds; round++)); do
		for side in "${sides[@]}"; do
			tell "memory, round $round of $rounds: $side"
			while read -r row value; do
				[ "$row" != touch_1g ] || figure memory "$round" "$side" "$row" "$value"
				[ "$row" != status ] || failed "memory round $round, $side"
			done < <(touch_rows "$side" </dev/null 2>"$tmp/err" || echo "status $?")
		done
		sides=("${sides[1]}" "${sides[0]}")
	done
	tell "memory that is given back"
	[ -d "$XDG_RUNTIME_DIR" ] || mkdir -m 700 "$XDG_RUNTIME_DIR"
	if "$lucid" run "${options[@]}" --memory 3G --name bench-memory --detach -- sleep 1000 \
		>/dev/null 2>"$tmp/err" </dev/null &&
		"$lucid" exec --no-stdin bench-memory dd if=/dev/zero of=/dev/null bs=2G count=1 2>"$tmp/err"; then
		sleep 10
		figure memory 1 lucid memory_back "$(memory_of bench-memory)"
	else
		failed "the machine that gives memory back"
	fi
	many_end || true
}
