# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Fifty machines at once: how long they take to start one after another, what they cost while
# they idle, how long it takes to list them and to end them. Sourced by bench.sh.

MANY=${MANY:-50}

# Nanoseconds of CPU time of processes.
many_used() {
	local p
	for p in "$@"; do
		cat "/proc/$p/task/"*/schedstat 2>/dev/null || true
	done | awk '{ ns += $1 } END { printf "%.0f\n", ns }'
}

many_end() {
	"$lucid" kill "${names[@]}" >/dev/null 2>&1 || true
	rm -rf "$tmp/run"
}

many_part() {
	local i begin before after names=() tree
	local -x XDG_RUNTIME_DIR=$tmp/run
	tell "$MANY machines"
	mkdir -m 700 "$XDG_RUNTIME_DIR"
	now && begin=$now
	for ((i = 1; i <= MANY; i++)); do
		names+=("bench-$i")
		"$lucid" run "${options[@]}" --name "bench-$i" --detach -- sleep 1000 \
			>/dev/null 2>"$tmp/err" </dev/null || { many_end && failed "machine $i" && return; }
	done
	now
	figure many 1 lucid many_start $((now - begin))
	now && begin=$now
	"$lucid" ps >"$tmp/ps"
	now
	figure many 1 lucid many_ps $((now - begin))
	sleep 5
	# Detached, they are nobody's children: their folders tell who they are.
	while read -r i; do
		# What ends meanwhile is no failure.
		tree_of "$i" || true
	done < <(awk 'NR > 1 { print $3 }' "$tmp/ps") >"$tmp/tree"
	mapfile -t tree <"$tmp/tree"
	before=$(many_used "${tree[@]}")
	sleep "$IDLE_SECONDS"
	after=$(many_used "${tree[@]}")
	figure many 1 lucid many_cpu "$(awk -v ns=$((after - before)) -v s="$IDLE_SECONDS" \
		'BEGIN { print ns / s / 1e7 }')"
	figure many 1 lucid many_memory "$(memory_rows "${tree[@]}" | awk -v n="$MANY" '
		/beside|guest/ { sum += $2 } END { print sum / n }')"
	now && begin=$now
	"$lucid" kill "${names[@]}" >/dev/null 2>"$tmp/err" || failed "to end $MANY machines"
	now
	figure many 1 lucid many_kill $((now - begin))
	many_end
}
