# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# How much there is to attack, and to trust: counted in the source, nothing is run. Sourced by
# bench.sh. docs/security.md tells which arguments the calls may have.

# rules FILE FUNCTION...: the system calls that these functions of space/filter.c let through.
rules() {
	local file=$1
	shift
	awk -v functions="$*" '
		BEGIN { split(functions, list, " "); for (i in list) wanted[list[i]] }
		/^static int [a-z_]+\(/ { sub(/^static int /, ""); sub(/\(.*/, ""); here = $0 in wanted; next }
		here && match($0, /(RULE|RULE_ANY)\(ctx, [a-z0-9_]+|ACTION\(ctx, SCMP_ACT_NOTIFY, [a-z0-9_]+/) {
			call = substr($0, RSTART, RLENGTH)
			sub(/.*[ ,]/, "", call)
			print call
		}' "$file"
}

# What the monitor may call once the machine runs, without --vsock.
monitor_rules() {
	awk '/^\/\* ---- While it runs/ { here = 1 }
		/^static int add_outward/ { here = 0 }
		here { while (match($0, /SCMP_SYS\([a-z0-9_]+\)/)) {
			print substr($0, RSTART + 9, RLENGTH - 10)
			$0 = substr($0, RSTART + RLENGTH)
		} }' monitor/confine.c
	awk '/^int allow_affinity/ { here = 1 }
		here && match($0, /SCMP_SYS\([a-z0-9_]+\)/) { print substr($0, RSTART + 9, RLENGTH - 10); exit }' \
		base/allow.c
}

# code FOLDER...: lines that are neither empty nor comment.
code() {
	find "$@" -name '*.[chS]' -exec cat {} + | awk '
		comment { if (!sub(/.*\*\//, "")) next; comment = 0 }
		{ gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "") }
		/\/\*/ { sub(/\/\*.*/, ""); comment = 1 }
		NF { n++ }
		END { print n + 0 }'
}

walls_part() {
	local kernel=(allow_mappings allow_kicks allow_places allow_space allow_own allow_twin) row n
	while read -r row n; do
		if [ "$n" -gt 0 ]; then
			figure walls 1 lucid "$row" "$n"
		else
			failed "$row: the source is written otherwise than bench/walls.sh reads it; that"
		fi
	done <<-EOF
		calls_kernel $(rules space/filter.c "${kernel[@]}" | sort -u | wc -l)
		calls_program $(rules space/filter.c list_twin | sort -u | wc -l)
		calls_monitor $(monitor_rules | sort -u | wc -l)
		lines_spaces $(code space)
		lines_monitor $(code monitor device base api)
		lines_servers $(code serve)
		lines_stub $(code stub)
	EOF
}
