#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# make trinity: random system calls with random arguments, by an unprivileged user of a guest with
# two virtual CPUs. Fails if the machine ends, if its kernel has anything to say about it, or if it
# does not do its work afterwards.
#
#   SECONDS_ALL=600   how long
#   SEED=N            the first seed; each start of trinity takes the next one
#   LUCID=PATH        another lucid
#   OPTIONS=...       more options for lucid run
set -euo pipefail
cd "$(dirname "$0")/.."

lucid=${LUCID:-$PWD/lucid}
all=${SECONDS_ALL:-600}
seed=${SEED:-$RANDOM}
root=build/debian.erofs
[ -e "$root" ] || { echo "trinity: build/debian.erofs is missing; call make debian" >&2 && exit 1; }
tmp=$(mktemp -d "${TMPDIR:-/tmp}/lucid-trinity-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
chmod 755 "$tmp"
cp "$(type -P trinity)" "$tmp"

# It ends by itself now and then: by a signal that it sends itself, or as it runs out of children.
# Debian's trips over its own table where it makes sockets of all kinds; so each start makes some.
# shellcheck disable=SC2016
script='all=$1 seed=$2 end=$((SECONDS + $1)) starts=0 calls=0
kinds=("-P PF_INET" "-P PF_INET6" "-P PF_NETLINK" "-P PF_PACKET" "--disable-fds=sockets -x setsockopt")
dmesg -C
exec 2>/dev/null
while [ $SECONDS -lt $end ]; do
	rm -rf /tmp/t; mkdir -m 777 /tmp/t; cd /tmp/t
	left=$((end - SECONDS))
	timeout -k 5 $((left > 60 ? 60 : left)) setsid -w setpriv --reuid=65534 --regid=65534 --clear-groups \
		stdbuf -oL /trinity/trinity -q -l off -a 64 -C 4 -s $((seed + starts)) \
		${kinds[starts % ${#kinds[@]}]} </dev/null >/tmp/log 2>&1
	starts=$((starts + 1))
	some=$(tr "\r" "\n" </tmp/log | sed -n "s/.* \([0-9]*\) iterations.*/\1/p" | tail -n 1)
	calls=$((calls + ${some:-0}))
	pkill -KILL -u 65534; sleep 0.2
done
cd /
echo "$starts starts, $calls calls"
status=0
[ $calls -ge $((all * 10)) ] || status=1
# Memory that is short is no bug, and has a trace of its own.
dmesg | awk "/invoked oom-killer|allocation failure/ { short = NR }
	/BUG[: ]|WARNING: CPU|Oops|stall|lockup|hung task|cut here|[Bb]ad page|refcount/ ||
		/Call Trace/ && (!short || NR - short > 8) { print; bad = 1 } END { exit bad }" || {
	status=1
	dmesg | tail -n 400
}
[ "$(seq 100 | gzip | gunzip | wc -l)" = 100 ] || status=1
exit $status'

echo "trinity: $all s from seed $seed"
# shellcheck disable=SC2086 # options are words
timeout -k 5 $((all * 2 + 120)) "$lucid" run --cpus 2 --memory 1G --rootfs "$root" \
	-v "$tmp:/trinity:ro" ${OPTIONS:-} -- bash -c "$script" bash "$all" "$seed" </dev/null ||
	{ echo "trinity: failed with status $?; seed $seed" >&2 && exit 1; }
echo "trinity: $all s passed"
