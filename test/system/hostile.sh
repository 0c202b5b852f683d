# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Machines that do their worst beside one that behaves: it does not notice, and neither does the
# host. test/guest/run tells whether each of them ends as it should.
# as: nobody
# timeout: 300
. "$TREE/test/system/lib.sh"

guests=$TREE/build/guest/test
# What of the host a space might reach, were it to get out.
host_state() {
	hostname
	date +%Y%m%d
	cat /proc/sys/kernel/{core_pattern,hostname,panic} /proc/self/mounts
	sha256sum "$TMP/canary" </dev/null
	kill -0 "$sentry" && echo lives
}
head -c 65536 /dev/urandom >"$TMP/canary"
sleep 1000 &
sentry=$!
host_state >"$TMP/before"

# The one that behaves: sums of data that it makes anew each time, until it is told to stop.
mkfifo "$TMP/in"
# shellcheck disable=SC2086
"$LUCID" run ${LUCID_TEST_OPTIONS:-} -- sh -c '
	want=$(seq 1 20000 | sha256sum)
	echo ready
	n=0
	exec 3<&0
	( read -r x <&3; touch /tmp/stop ) &
	while [ ! -e /tmp/stop ]; do
		[ "$(seq 1 20000 | sha256sum)" = "$want" ] || { echo wrong; exit 1; }
		seq 1 20000 >/tmp/f && [ "$(sha256sum </tmp/f)" = "$want" ] || { echo wrong; exit 1; }
		n=$((n + 1))
	done
	echo "good $n"' <"$TMP/in" >"$TMP/good" 2>"$TMP/good.err" &
good=$!
exec 5>"$TMP/in"
trap '' PIPE
soon grep -q ready "$TMP/good"
check 'a machine that behaves' grep -q ready "$TMP/good"

# worst NAME APPEND [OPTIONS...]: ends by itself, or is ended after some seconds
worst() {
	local name=$1 append=$2
	shift 2
	timeout -k 2 5 "$LUCID" run --net none --kernel "$guests/$name.elf" --append "$append" "$@" \
		</dev/null >"$TMP/out" 2>"$TMP/err"
	status=$?
	check "$name $append: ends alone" [ $status -eq 125 -o $status -eq 124 ]
}
for n in 1 2 3; do
	worst hostile-calls ''
	worst hostile-args "seed=$n" --cpus 2
	worst hostile-race "what=$n" --cpus 2
	worst hostile-maps "what=$n"
	worst hostile-jump "at=$((n * 7))"
done
worst hostile-tables ''
worst hostile-timerfd ''
check 'it is still there' kill -0 $good
echo stop >&5 || true
exec 5>&-
wait $good
status=$?
check 'it goes on and counts right' [ $status -eq 0 ]
check 'to its end' grep -q '^good [1-9]' "$TMP/good"
check 'with nothing to complain of' [ ! -s "$TMP/good.err" ]
host_state >"$TMP/after"
kill $sentry
check 'the host is as it was' cmp "$TMP/before" "$TMP/after"
finish
