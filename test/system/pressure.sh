# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# --balloon auto: when programs of the host wait for memory, the guest gives some of what it could
# spare, and gets it back afterwards. The host is made to wait by programs that write files in a
# memory cgroup of 64 MiB, so root is needed for that, and a host that tells of its pressure (PSI).
# timeout: 180
# as: nobody
. "$TREE/test/system/lib.sh"

if ! (exec 3<>/proc/pressure/memory) 2>/dev/null; then
	lucid --balloon auto -- true
	check 'a host that tells nothing of its pressure' bad_input
	finish
fi
lucid --balloon auto -- echo runs
check 'a machine under the pressure of the host' both 0 runs

group=
for place in /sys/fs/cgroup/memory /sys/fs/cgroup; do
	if [ -n "$group" ] || ! mkdir "$place/lucid-test-$$" 2>/dev/null; then
		continue
	fi
	for limit in memory.limit_in_bytes memory.max; do
		! echo 64M 2>/dev/null >"$place/lucid-test-$$/$limit" || group=$place/lucid-test-$$
	done
	[ -n "$group" ] || rmdir "$place/lucid-test-$$"
done
if [ -z "$group" ]; then
	skip 'no memory cgroup to be had: the host cannot be made to wait'
	finish
fi

# press FILE: writes files as long as that one is there.
press() {
	echo "$BASHPID" >"$group/cgroup.procs"
	while [ -e "$1" ]; do
		dd if=/dev/zero of="$TMP/written.$BASHPID" bs=1M count=200 2>/dev/null
	done
	rm -f "$TMP/written.$BASHPID"
}
# figure NAME: in MiB.
figure() {
	"$LUCID" stats --json m | awk -F '[:,]' -v name="\"$1\"" '$1 ~ name { printf "%d", $2 / 1048576 }'
}
below() {
	[ "$(figure "$1")" -lt "$2" ]
}
above() {
	[ "$(figure "$1")" -gt "$2" ]
}

truncate -s 400M "$TMP/disk"
run "$LUCID" run --detach --net none --balloon auto --memory 1G --disk "$TMP/disk" --name m -- sleep 1000 </dev/null
check 'a machine' both 0 m
run "$LUCID" exec --no-stdin m dd if=/dev/vda of=/dev/null bs=1M
check 'has files in its cache' above memory_host_bytes 400
touch "$TMP/press"
pids=()
for _ in 1 2 3; do
	press "$TMP/press" &
	pids+=($!)
done
check 'the host waits for memory: the guest gives some' eval 'soon below memory_bytes 900 || soon below memory_bytes 900'
check 'of what it has cached, too' eval 'soon below memory_host_bytes 300 || soon below memory_host_bytes 300'
run "$LUCID" exec --no-stdin m dd if=/dev/zero of=/dev/null bs=600M count=1
check 'not at the price of its programs' status_is 0
rm "$TMP/press"
wait "${pids[@]}"
rmdir "$group"
least=$(figure memory_bytes)
check 'and gets it back when that is over' eval 'soon above memory_bytes $((least + 50)) ||
	soon above memory_bytes $((least + 50)) || above memory_bytes 950'
run "$LUCID" kill m
check 'the end' status_is 0
finish
