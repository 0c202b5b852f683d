#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# make bench: the same programs natively and in Lucid, in turns, and what a machine costs.
#
# Prints a table, and leaves each figure in build/bench/figures.tsv as a line
# PART ROUND SIDE ROW VALUE (times in nanoseconds). Exit status: 0 if every row could be
# measured, whether it meets its target or not.
#
#   ROUNDS=5     how often each side runs; what is shown is the median of the rounds
#   PARTS=...    some of: pinned unpinned gcc split smp macro io boot idle memory many
#                walls
#   ROWS=...     only these rows of the micro or macro benchmark
#   PEERS=1      the rows of pinned on User-mode Linux, gVisor and QEMU TCG too (installs them)
#   LUCID=PATH   another lucid (default: ./lucid)
#   OPTIONS=...  more options for lucid run
#   DEBIAN=PATH  another Debian root (default: build/debian.erofs)
#   CPU=N        the CPU that the pinned parts use (default: the last one allowed)
#
# The parts: pinned keeps the program, or all of lucid, on one CPU, since the guest has one
# vCPU and a second core would help the native side alone; unpinned does not. split has some of
# the rows of pinned, and gcc's, with --isolation split.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

rounds=${ROUNDS:-5}
read -ra parts <<<"${PARTS:-pinned unpinned gcc split smp macro io boot idle memory many walls}"
read -ra rows <<<"${ROWS:-}"
wanted_rows=("${rows[@]}")
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
# shellcheck source=bench/memory.sh
. bench/memory.sh
# shellcheck source=bench/many.sh
. bench/many.sh
# shellcheck source=bench/smp.sh
. bench/smp.sh
# shellcheck source=bench/macro.sh
. bench/macro.sh
# shellcheck source=bench/io.sh
. bench/io.sh
# shellcheck source=bench/walls.sh
. bench/walls.sh
# shellcheck source=bench/peers.sh
. bench/peers.sh

# Ended early, it leaves no program running: what came from this shell goes with it.
clean_up() {
	local p
	tell
	many_end || true
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

# in_turns PART NAME: NAME_native and NAME_lucid print "ROW ns" lines.
in_turns() {
	local part=$1 round side row value sides=(native lucid)
	for ((round = 1; round <= rounds; round++)); do
		for side in "${sides[@]}"; do
			tell "$part, round $round of $rounds: $side"
			while read -r row value; do
				figure "$part" "$round" "$side" "$row" "$value"
			done < <("$2_$side" </dev/null 2>"$tmp/err" || true)
		done
		sides=("${sides[1]}" "${sides[0]}")
	done
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
	local part=$1 round=$2 side=$3 row value begin='' prefix
	prefix_of "$part"
	while read -r row value; do
		now
		case $row in
		*begin) begin=$now ;;
		end)
			[ -z "$begin" ] || figure "$part" "$round" "$side" clock_error "$(awk -v a="$value" \
				-v b=$((now - begin)) 'BEGIN { e = 100 * (a / b - 1); print e < 0 ? -e : e }')"
			;;
		# Whatever else a machine's console says.
		*) [[ ! ${value%$'\r'} =~ ^[0-9.]+$ ]] || figure "$part" "$round" "$side" "$row" "$value" ;;
		esac
	done < <("micro_$side" </dev/null 2>"$tmp/err" || echo "status $?")
}

# Runs PART's micro benchmark in turns; the side that begins changes with the round.
micro_part() {
	local part=$1 round side sides=(native lucid)
	[ "$part" = unpinned ] || sides+=("${peers[@]}")
	for ((round = 1; round <= rounds; round++)); do
		for side in "${sides[@]}"; do
			tell "$part, round $round of $rounds: $side"
			micro "$part" "$round" "$side"
			! grep -q "^$part	$round	$side	status	" "$figures" ||
				failed "$part round $round, $side"
		done
		sides=("${sides[@]:1}" "${sides[0]}")
	done
}

# What the wall of split costs: some rows of pinned, and the compiler.
split_part() {
	local before=("${options[@]}") all=("${rows[@]}") others=("${peers[@]}")
	options+=(--isolation split)
	peers=()
	[ ${#rows[@]} -gt 0 ] || rows=(getppid stat touch_16m fork_exit fork_exec pipe)
	micro_part split
	gcc_part split
	options=("${before[@]}")
	rows=("${all[@]}")
	peers=("${others[@]}")
}

machine() {
	echo "$(sed -n '/^model name/{s/.*: //p;q}' /proc/cpuinfo), $(nproc) CPUs," \
		"$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)," \
		"$(uname -sr), load $(cut -d ' ' -f 1 /proc/loadavg)"
	echo "Lucid $(git rev-parse --short HEAD 2>/dev/null || echo unknown), median of $rounds" \
		"rounds in turns; the ratio is a round's, with its least and greatest"
}

# The ratios of PART as bars, to docs/benchmarks-NAME.svg.
plot() {
	[ -s "$out/plot-$1.dat" ] || return 0
	gnuplot <<-EOF
		set terminal svg size 900,420 font "sans-serif,11" background "white"
		set output "docs/benchmarks-$2.svg"
		set ylabel "time, native = 1"
		set logscale y
		set yrange [0.2:*]
		set grid y
		set xtics rotate by -40 noenhanced
		set style fill solid 0.7
		set boxwidth 0.7
		plot "$out/plot-$1.dat" using 0:2:xtic(1) with boxes notitle lc rgb "#336699", 1 notitle lc rgb "#cc3333"
	EOF
}

# A run of everything becomes docs/benchmarks.md and its plots.
document() {
	rm -f "$out"/plot-*.dat
	{
		printf '# Benchmarks\n\nWritten by `make bench`'
		[ ${#peers[@]} -eq 0 ] || printf ' with PEERS=1'
		printf ', %s rounds in turns, on:\n\n' "$rounds"
		machine | sed -n 1p
		printf '\nA ratio is the time in Lucid by the time on the host, of the same program in the same\n'
		printf 'round: the median of the rounds, and their least and greatest. Below 1 Lucid is faster.\n'
		printf 'Targets are what is aimed at. Peers that are not there did not run on this machine.\n'
		[ -z "${runsc_platform:-}" ] || printf 'runsc is gVisor, version %s, on its %s platform; tcg is QEMU without KVM.\n' \
			"$(runsc --version | sed -n 's/runsc version //p')" "$runsc_platform"
		awk -f bench/figures.awk -f bench/document.awk bench/targets "$figures"
	} >"$tmp/benchmarks.md"
	mv "$tmp/benchmarks.md" docs/benchmarks.md
	plot pinned micro
	plot macro macro
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

[ -z "${PEERS:-}" ] || find_peers
for part in "${parts[@]}"; do
	case $part in
	pinned | unpinned) micro_part "$part" ;;
	gcc) gcc_part ;;
	split) split_part ;;
	macro) macro_part ;;
	io) io_part ;;
	boot) boot_part ;;
	idle) idle_part ;;
	memory) memory_part ;;
	many) many_part ;;
	smp) smp_part ;;
	walls) walls_part ;;
	*) die "no part $part; there are pinned, unpinned, gcc, split, smp, macro, io, boot, idle, memory, many and walls" ;;
	esac
done
tell
machine
[ -n "${ROWS:-}${PARTS:-}" ] || document
awk -v parts="${parts[*]}" -v rows="${rows[*]}" -v cpu="$cpu" \
	-v skip="${skip[*]}" -f bench/figures.awk -f bench/report.awk bench/targets "$figures" || failures=$((failures + 1))
[ $failures -eq 0 ]
