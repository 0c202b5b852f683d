# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What a machine costs: its boot, and its processes while it idles. Sourced by bench.sh.

# Seconds that the idle guest is watched for.
IDLE_SECONDS=${IDLE_SECONDS:-10}
# What it does before: as many processes as will have made every space there can be.
busy='i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i + 1)); done; echo ready; sleep 1000'

# A boot to the first output of a command, and one to the end of /bin/true. lucid itself
# tells when its agent called; the console's last line before that is no measure, since
# it comes through a device.
boot_part() {
	local round begin first prefix agent
	prefix_of unpinned
	for ((round = 1; round <= rounds; round++)); do
		tell "boot, round $round of $rounds"
		now && begin=$now
		first=
		while read -r _; do
			now && first=${first:-$now}
		done < <("${prefix[@]}" "$lucid" run "${options[@]}" --verbose -- echo up \
			</dev/null 2>"$tmp/err" || true)
		[ -n "$first" ] || { failed "boot round $round" && continue; }
		figure boot "$round" lucid boot_output $((first - begin))
		# What it does not tell is at most that.
		agent=$(sed -nE 's/.*agent.* after ([0-9.]+) ms.*/\1/p' "$tmp/err" | head -n 1)
		figure boot "$round" lucid boot_agent \
			"$(awk -v ms="$agent" -v ns=$((first - begin)) 'BEGIN { print ms ? ms * 1e6 : ns }')"
		now && begin=$now
		"${prefix[@]}" "$lucid" run "${options[@]}" -- /bin/true </dev/null 2>"$tmp/err" ||
			{ failed "boot round $round" && continue; }
		now
		figure boot "$round" lucid boot_off $((now - begin))
	done
}

# The pids of process $1 and all that come from it.
tree_of() {
	# The name in the second field may hold spaces; nothing after it does.
	cat /proc/[0-9]*/stat 2>/dev/null | sed 's/(.*)/-/' | awk -v root="$1" '
		{ parent[$1] = $4 }
		END {
			for (pid in parent) {
				for (p = pid; p != root && p > 1 && p in parent; p = parent[p])
					continue
				if (p == root)
					print pid
			}
		}'
}

# Sums over processes: nanoseconds on a CPU, and how often they slept to be woken.
cpu_and_wakeups() {
	local p
	for p in "$@"; do
		cat "/proc/$p/task/"*/schedstat "/proc/$p/task/"*/status 2>/dev/null || true
	done | awk '
		NF == 3 && $1 ~ /^[0-9]+$/ { ns += $1 }
		/^voluntary_ctxt_switches:/ { woken += $2 }
		END { printf "%.0f %d\n", ns, woken }'
}

# Prints "ROW MiB" lines for processes. What lies beside guest RAM is the processes' share of
# all that they have mapped but the guest's RAM (Pss): all of what is one's own, and what
# several of them share, such as pages from before a fork, once. Guest RAM itself is told
# apart by its name: a page of it that one process alone has mapped looks private. Only root
# can read that of such processes; for others anonymous memory is counted, which leaves out
# text and data from files.
memory_rows() {
	local p
	for p in "$@"; do
		echo "process $p"
		cat "/proc/$p/status" "/proc/$p/smaps" 2>/dev/null || true
	done | awk '
		function end_process() { beside += mapped ? share : anonymous }
		/^process / { end_process(); mapped = share = anonymous = 0 }
		/^RssAnon:/ { anonymous = $2 }
		/^VmPTE:/ { tables += $2 }
		/^[0-9a-f]+-[0-9a-f]+ / {
			mapped = 1
			ram = $6 == "/memfd:lucid-ram"
		}
		/^Pss:/ && ram { guest += $2 }
		/^Pss:/ && !ram { share += $2 }
		END {
			end_process()
			printf "memory_beside %.2f\nmemory_tables %.2f\n", beside / 1024, tables / 1024
			if (guest)
				printf "memory_guest %.2f\n", guest / 1024
		}'
}

# How long a guest may take to get ready for idling, in tenths of a second.
READY_TENTHS=600

idle_part() {
	local pid tree before after row value tenths=0
	tell "an idle guest, $IDLE_SECONDS s"
	: >"$tmp/idle"
	"$lucid" run "${options[@]}" -- sh -c "$busy" </dev/null >"$tmp/idle" 2>"$tmp/err" &
	pid=$!
	until grep -q ready "$tmp/idle"; do
		tenths=$((tenths + 1))
		if [ $tenths -gt $READY_TENTHS ] || ! kill -0 "$pid" 2>/dev/null; then
			end_idle
			failed "the idle guest"
			return
		fi
		sleep 0.1
	done
	sleep 2
	mapfile -t tree < <(tree_of "$pid")
	read -ra before < <(cpu_and_wakeups "${tree[@]}")
	sleep "$IDLE_SECONDS"
	read -ra after < <(cpu_and_wakeups "${tree[@]}")
	figure idle 1 lucid processes ${#tree[@]}
	figure idle 1 lucid idle_cpu "$(awk -v ns=$((after[0] - before[0])) -v s="$IDLE_SECONDS" \
		'BEGIN { print ns / s / 1e7 }')"
	figure idle 1 lucid idle_wakeups "$(awk -v n=$((after[1] - before[1])) \
		-v s="$IDLE_SECONDS" 'BEGIN { print n / s }')"
	while read -r row value; do
		figure idle 1 lucid "$row" "$value"
	done < <(memory_rows "${tree[@]}")
	head -c 1 "/proc/$pid/smaps" >/dev/null 2>&1 || skip+=(memory_guest)
	end_idle
}

# The first signal asks the guest to power off, the last cannot be refused.
end_idle() {
	kill -TERM "$pid" 2>/dev/null || true
	local tenths=0
	while kill -0 "$pid" 2>/dev/null && [ $tenths -lt 200 ]; do
		tenths=$((tenths + 1))
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
}
