# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Several virtual CPUs, on any of the host's: those of the micro benchmark's rows that need them,
# and a build that has more of them than the host has. Sourced by bench.sh.

# Where the build happens and what it is: many small files, as many at a time as there are CPUs
# for four.
build='export PATH=/usr/bin:/bin; mkdir /tmp/b && cd /tmp/b && cat >one.c || exit
for i in $(seq 32); do { echo "int file_$i;" && cat one.c; } >f$i.c; done
printf "%s\n" "all: \$(patsubst %.c,%.o,\$(wildcard f*.c))" "%.o: %.c" "	gcc -O2 -c \$<" >Makefile
make -s -j4 f1.o f2.o || exit
rm f1.o f2.o
begin=$EPOCHREALTIME
make -s -j4 || exit
end=$EPOCHREALTIME
echo "build $((${end/./} - ${begin/./}))000"'

# smp_rows SIDE: prints the micro benchmark's lines.
smp_rows() {
	local options=("${options[@]}" --cpus 2) rows=(cpu two_jobs ipi messages)
	"micro_$1"
}

# smp_build CPUS: the time that it takes.
smp_build() {
	local name value
	read -r name value < <("${prefix[@]}" "$lucid" run "${options[@]}" --cpus "$1" --memory 1G \
		--rootfs "$debian" -- /bin/bash -c "$build" <"$tmp/part.c" 2>"$tmp/err") || true
	[ "${name:-}" != build ] || echo "$value"
}

smp_part() {
	local round side row value prefix two four sides=(native lucid)
	local -A took slower
	if [ "$(nproc)" -lt 2 ]; then
		echo "bench: no rows for several CPUs on a host with one" >&2
		skip+=(two_jobs ipi messages overcommit)
		return
	fi
	prefix_of unpinned
	[ -e "$debian" ] || skip+=(overcommit)
	awk -v groups=4 -f bench/source.awk >"$tmp/part.c"
	for ((round = 1; round <= rounds; round++)); do
		for side in "${sides[@]}"; do
			tell "several CPUs, round $round of $rounds: $side"
			took=()
			while read -r row value; do
				took[$row]=$value
				case $row in
				ipi | messages) figure smp "$round" "$side" "$row" "$value" ;;
				esac
			done < <(smp_rows "$side" </dev/null 2>"$tmp/err" || echo "status $?")
			[ -z "${took[status]:-}" ] || failed "smp round $round, $side"
			slower[$side]=
			[ -z "${took[two_jobs]:-}" ] || slower[$side]=$(awk -v one="${took[cpu]}" \
				-v two="${took[two_jobs]}" 'BEGIN { print two / one }')
		done
		# The host's CPUs may slow each other down: so they do for its own programs.
		[ -z "${slower[native]}" ] || [ -z "${slower[lucid]}" ] ||
			figure smp "$round" lucid two_jobs "$(awk -v native="${slower[native]}" \
				-v lucid="${slower[lucid]}" 'BEGIN { print lucid / native }')"
		sides=("${sides[1]}" "${sides[0]}")
		[ -e "$debian" ] || continue
		tell "a parallel build, round $round of $rounds"
		two=$(smp_build 2)
		four=$(smp_build 4)
		if [ -n "$two" ] && [ -n "$four" ]; then
			figure smp "$round" lucid overcommit "$(awk -v a="$four" -v b="$two" 'BEGIN { print a / b }')"
		else
			failed "the parallel build, round $round"
		fi
	done
}
