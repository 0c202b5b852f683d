# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Memory that comes and goes: committed by touch, given back when free, taken and given by order,
# grown by need.
# timeout: 240
# as: nobody
. "$TREE/test/system/lib.sh"

# figure NAME: of the machine m, in MiB.
figure() {
	"$LUCID" stats --json m | awk -F '[:,]' -v name="\"$1\"" '$1 ~ name { printf "%d", $2 / 1048576 }'
}

below() {
	[ "$(figure "$1")" -lt "$2" ]
}

is() {
	[ "$(figure "$1")" -eq "$2" ]
}

in_guest() {
	run "$LUCID" exec --no-stdin m "$@"
}

start() {
	run "$LUCID" run --detach --name m "$@" </dev/null
}

start --memory 1G -- sleep 1000
check 'a machine of 1 GiB' both 0 m
check 'takes little before it is used' below memory_host_bytes 100
in_guest dd if=/dev/zero of=/dev/null bs=600M count=1
check 'it uses 600 MiB' status_is 0
check 'and gives them back by itself' soon below memory_host_bytes 120
check 'for it has reported them' [ "$(figure memory_reported_bytes)" -gt 500 ]

# All that it uses for a moment, anonymous and files, is back on the host within ten seconds.
back_in_time() {
	local begin=$EPOCHREALTIME
	while ! below memory_host_bytes 150; do
		[ $((${EPOCHREALTIME/./} - ${begin/./})) -lt 10000000 ] ||
			{ echo "# $(figure memory_host_bytes) MiB" && return 1; }
		sleep 0.1
	done
}
run "$LUCID" kill m
start --memory 3G -- sleep 1000
# Held until it has been seen: what is free goes back at once.
in_guest sh -c 'dd if=/dev/zero bs=2G count=1 2>/dev/null | sleep 1000 & echo $!'
holder=$(cat "$TMP/out")
above() {
	[ "$(figure memory_host_bytes)" -gt 2000 ]
}
check 'it uses 2 GiB' soon above
in_guest kill "$holder"
check 'which is back within ten seconds' back_in_time
in_guest sh -c 'dd if=/dev/zero of=/tmp/x bs=1M count=1400 && rm /tmp/x'
check 'it uses 1.4 GiB for files' status_is 0
check 'which is back within ten seconds, too' back_in_time
run "$LUCID" kill m
start --memory 1G -- sleep 1000

run "$LUCID" memory m 300M
check 'a smaller size' both 0 ''
check 'it has come to it' is memory_bytes 300
in_guest awk '/MemAvailable/ { print ($2 < 310000) }' /proc/meminfo
check 'the guest has less' out_is 1
run "$LUCID" memory m
check 'tells its size' out_has '^now 300M, target 300M, at most 1.0G, on the host '
in_guest dd if=/dev/zero of=/dev/null bs=500M count=1
check 'need deflates the balloon, and kills nobody' status_is 0
run "$LUCID" memory m 1G
check 'the whole size again' both 0 ''
in_guest dd if=/dev/zero of=/dev/null bs=800M count=1
check 'is there' status_is 0
run "$LUCID" memory m 2G
check 'more than there is' err_has 'm: it can have from 32M to 1024M'
run "$LUCID" memory m 1M
check 'less than there can be' status_is 125
run "$LUCID" memory m much
check 'no size' err_has 'much: not a size; '
run "$LUCID" kill m

start --memory 128M..1G -- sleep 1000
check 'a machine that can grow' both 0 m
check 'begins small' is memory_bytes 128
in_guest dd if=/dev/zero of=/dev/null bs=600M count=1
check 'has what it needs' status_is 0
check 'has grown for it' [ "$(figure memory_bytes)" -gt 600 ]
check 'gives the memory back' soon below memory_host_bytes 120
in_guest sh -c 'for i in 1 2 3; do dd if=/dev/zero of=/dev/null bs=250M count=1 2>/dev/null & done; wait; echo all'
check 'for several at a time' both 0 all
in_guest sh -c 'dd if=/dev/zero of=/tmp/x bs=1M count=400 && rm /tmp/x'
check 'for files in memory' status_is 0
# Blocks with memory in them that the kernel cannot move stay.
check 'shrinks when it is idle' eval 'soon below memory_bytes 134 || soon below memory_bytes 134 ||
	soon below memory_bytes 134'
run "$LUCID" memory m 512M
check 'grows by order' both 0 ''
in_guest awk '/MemTotal/ { print ($2 > 480000) }' /proc/meminfo
check 'as the guest sees' out_is 1
run "$LUCID" memory m 100M
check 'shrinks by order, below where it began' both 0 ''
in_guest dd if=/dev/zero of=/dev/null bs=300M count=1
check 'and still grows by need' status_is 0
run "$LUCID" kill m

# A database in the middle of all that.
truncate -s 400M "$TMP/disk"
mkfs.ext4 -q "$TMP/disk"
start --memory 192M..1G --rootfs "$DEBIAN" --disk "$TMP/disk" -- sh -ec '
	mount /dev/vdb /mnt
	sqlite3 /mnt/db "create table t (i integer primary key, x blob);"
	for i in 1 2 3 4 5 6 7 8; do
		sqlite3 -cmd "pragma cache_size=-200000" /mnt/db "insert into t(x) with recursive n(i) as
			(select 1 union all select i + 1 from n where i < 4000) select randomblob(5000) from n;"
	done
	sqlite3 /mnt/db "pragma integrity_check; select count(*), sum(length(x)) from t;"'
check 'a database' both 0 m
while [ -n "$("$LUCID" ps --quiet)" ]; do
	for size in 900M 160M 500M; do
		"$LUCID" memory --no-wait m $size 2>/dev/null
		sleep 0.3
	done
done
run "$LUCID" logs m
check 'is whole after its memory came and went' [ "$(tail -n 2 "$TMP/out")" = 'ok
32000|160000000' ]

run "$LUCID" run --memory 1G..512M -- true
check 'a range that ends below its beginning' bad_input
run "$LUCID" run --memory 1G.. -- true
check 'a range without an end' bad_input
run "$LUCID" run --balloon never -- true
check 'a bad way of ballooning' bad_input
finish
