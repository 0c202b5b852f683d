#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# make bench: the same programs natively and in Lucid, in turns, and what a machine costs.
#
# Prints a table, and leaves each figure in build/bench/figures.tsv as a line
# PART ROUND SIDE ROW VALUE (times in nanoseconds). Exit status: 0 if every row could be
# measured, whether it meets its target or not.
#
#   ROUNDS=5     how often each side runs; what is shown is the median of the rounds
#   PARTS=...    some of: pinned unpinned gcc smp boot idle
#   ROWS=...     only these rows of the micro benchmark
#   LUCID=PATH   another lucid (default: ./lucid)
#   OPTIONS=...  more options for lucid run
#   DEBIAN=PATH  another Debian root (default: build/debian.erofs)
#   CPU=N        the CPU that the pinned parts use (default: the last one allowed)
#
# The parts: pinned keeps the program, or all of lucid, on one CPU, since the guest has one
# vCPU and a second core would help the native side alone; unpinned does not.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

rounds=${ROUNDS:-5}
read -ra parts <<<"${PARTS:-pinned unpinned gcc smp boot idle}"
read -ra rows <<<"${ROWS:-}"
read -ra options <<<"${OPTIONS:-}"
lucid=${LUCID:-$PWD/lucid}
out=$PWD/build/bench
micro=$out/root/micro
figures=$out/figures.tsv
debian=${DEBIAN:-$PWD/build/debian.erofs}
# A run that takes longer hangs.
limit=300
failures=0
# Rows that cannot be had here.
skip=()

die() {
	echo "bench: $*" >&2
	exit 1
}

tell() {
	[ ! -t 2 ] || printf '\r\033[K%s' "$*" >&2
}

# shellcheck source=bench/gcc.sh
. bench/gcc.sh
# shellcheck source=bench/vm.sh
. bench/vm.sh
# shellcheck source=bench/smp.sh
. bench/smp.sh

# Ended early, it leaves no program running: what came from this shell goes with it.
clean_up() {
	local p
	tell
	for p in $(tree_of $$); do
		[ "$p" -eq $$ ] || kill -KILL "$p" 2>/dev/null || true
	done
	rm -rf "$tmp"
}

# figure PART ROUND SIDE ROW VALUE
figure() {
	printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$figures"
}

# Something could not be measured: the last lines of its stderr tell why.
failed() {
	failures=$((failures + 1))
	tell
	echo "bench: $* failed" >&2
	tail -n 5 "$tmp/err" | sed 's/^/  /' >&2
}

# In nanoseconds; takes no process.
now() {
	now=${EPOCHREALTIME/./}000
}

# What brings a command to where PART wants it: into the array prefix.
prefix_of() {
	prefix=(timeout --foreground -k 5 "$limit")
	[ "$1" = unpinned ] || prefix+=(taskset -c "$cpu")
}

micro_native() {
	"${prefix[@]}" "$micro" "${rows[@]}"
}

micro_lucid() {
	"${prefix[@]}" "$lucid" run "${options[@]}" --rootfs "$out/root" -- /micro "${rows[@]}"
}

# micro PART ROUND SIDE: runs all rows on one side. The lines come as they are measured, so
# that begin and end tell the program's time by the host's clock too.
micro() {
	local part=$1 round=$2 side=$3 row value begin prefix
	prefix_of "$part"
	while read -r row value; do
		now
		case $row in
		begin) begin=$now ;;
		end)
			figure "$part" "$round" "$side" clock_error "$(awk -v a="$value" \
				-v b=$((now - begin)) 'BEGIN { e = 100 * (a / b - 1); print e < 0 ? -e : e }')"
			;;
		*) figure "$part" "$round" "$side" "$row" "$value" ;;
		esac
	done < <("micro_$side" </dev/null 2>"$tmp/err" || echo "status $?")
}

# Runs PART's micro benchmark in turns; the side that begins changes with the round.
micro_part() {
	local part=$1 round side sides=(native lucid)
	for ((round = 1; round <= rounds; round++)); do
		for side in "${sides[@]}"; do
			tell "$part, round $round of $rounds: $side"
			micro "$part" "$round" "$side"
			! grep -q "^$part	$round	$side	status	" "$figures" ||
				failed "$part round $round, $side"
		done
		sides=("${sides[1]}" "${sides[0]}")
	done
}

machine() {
	echo "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs," \
		"$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)," \
		"$(uname -sr), load $(cut -d ' ' -f 1 /proc/loadavg)"
	echo "Lucid $(git rev-parse --short HEAD 2>/dev/null || echo unknown), median of $rounds" \
		"rounds in turns; the ratio is a round's, with its least and greatest"
}

[[ $rounds =~ ^[1-9][0-9]*$ ]] || die "ROUNDS=$rounds is not a number above 0"
[ -x "$micro" ] || die "build/bench/root/micro is missing; call make bench"
mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: //; s/,/\n/g; s/.*-//')
cpu=${CPU:-${cpus[-1]}}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/lucid-bench-XXXXXX")
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
: >"$figures"
: >"$tmp/err"

for part in "${parts[@]}"; do
	case $part in
	pinned | unpinned) micro_part "$part" ;;
	gcc) gcc_part ;;
	boot) boot_part ;;
	idle) idle_part ;;
	smp) smp_part ;;
	*) die "no part $part; there are pinned, unpinned, gcc, smp, boot and idle" ;;
	esac
done
tell
machine
awk -v parts="${parts[*]}" -v rows="${rows[*]}" -v cpu="$cpu" \
	-v skip="${skip[*]}" -f bench/report.awk bench/targets "$figures" || failures=$((failures + 1))
[ $failures -eq 0 ]
