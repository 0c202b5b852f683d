# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Fifty machines at once: how long they take to start one after another, what they cost while
# they idle, how long it takes to list them and to end them. Sourced by bench.sh.

MANY=${MANY:-50}

# They are nobody's children, so clean_up asks for their end; all of this folder are ours.
many_end() {
	[ ! -d "$tmp/run" ] || XDG_RUNTIME_DIR=$tmp/run "$lucid" kill --all >/dev/null 2>"$tmp/err"
}

many_part() {
	local i begin before after tree
	local -x XDG_RUNTIME_DIR=$tmp/run
	tell "$MANY machines"
	[ -d "$XDG_RUNTIME_DIR" ] || mkdir -m 700 "$XDG_RUNTIME_DIR"
	now && begin=$now
	for ((i = 1; i <= MANY; i++)); do
		"$lucid" run "${options[@]}" --name "bench-$i" --detach -- sleep 1000 \
			>/dev/null 2>"$tmp/err" </dev/null || { failed "machine $i" && many_end; return; }
	done
	now
	figure many 1 lucid many_start $((now - begin))
	now && begin=$now
	"$lucid" ps >"$tmp/ps"
	now
	figure many 1 lucid many_ps $((now - begin))
	sleep 5
	while read -r i; do
		# What ends meanwhile is no failure.
		tree_of "$i" || true
	done < <(awk 'NR > 1 { print $3 }' "$tmp/ps") >"$tmp/tree"
	mapfile -t tree <"$tmp/tree"
	read -ra before < <(cpu_and_wakeups "${tree[@]}")
	sleep "$IDLE_SECONDS"
	read -ra after < <(cpu_and_wakeups "${tree[@]}")
	figure many 1 lucid many_cpu "$(awk -v ns=$((after[0] - before[0])) -v s="$IDLE_SECONDS" \
		'BEGIN { print ns / s / 1e7 }')"
	figure many 1 lucid many_memory "$(memory_rows "${tree[@]}" | awk -v n="$MANY" '
		/beside|guest/ { sum += $2 } END { print sum / n }')"
	now && begin=$now
	many_end || failed "to end $MANY machines"
	now
	figure many 1 lucid many_kill $((now - begin))
}
