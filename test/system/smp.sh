# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Several virtual CPUs: threads against each other, CPUs that go and come, time that the host
# takes, and a machine that is paused.
# timeout: 400
# as: nobody
. "$TREE/test/system/lib.sh"

make_root "$TMP/root" programs
RUN_TIMEOUT=120
# A message of the kernel's that tells of a fault in it.
complaints='dmesg | grep -E "BUG|WARNING|Oops|stall|soft lockup|hung task|scheduling while"'

# smp CPUS OPTIONS... -- COMMAND...
smp() {
	lucid --cpus "$@"
}

for n in 1 2 4; do
	smp $n --rootfs "$TMP/root" -- sh -c "smp 1 && ! $complaints"
	check "threads, mappings, signals, migration on $n CPUs" both 0 ok
done
smp 4 --cpu-affinity 0 --rootfs "$TMP/root" -- sh -c "smp 1 && ! $complaints"
check 'the same on 4 CPUs where the host has one' both 0 ok

smp 64 -- sh -c 'nproc; grep -c ^cpu[0-9] /proc/stat'
check '64 CPUs' both 0 '64
64'

smp 4 -- sh -c "cd /sys/devices/system/cpu
	while :; do (:); done & busy=\$!
	for i in 1 2 3 4 5 6 7 8; do
		for n in 1 2 3; do echo 0 >cpu\$n/online || exit 1; done
		[ \$(cat online) = 0 ] || exit 2
		for n in 3 1 2; do echo 1 >cpu\$n/online || exit 3; done
		[ \$(cat online) = 0-3 ] || exit 4
	done
	kill \$busy; ! $complaints && echo done"
check 'CPUs go offline and online' both 0 'done'

# Four that are busy on one of the host's: each has to wait for most of the time.
smp 4 --cpu-affinity 0 -- sh -c 'for i in 1 2 3 4; do while :; do :; done & done; sleep 3
	awk "/^cpu / { print (\$9 > \$2 + \$4) ? \"much\" : \$0 }" /proc/stat'
check 'the time that is stolen is in /proc/stat' both 0 much

affinity_of() {
	local pid list=''
	for pid in $(lucid_processes); do
		grep -qs '^Name:.lucid-space' "/proc/$pid/status" &&
			list+="$(sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$pid/status")"$'\n'
	done
	sort -u <<<"$list" | tr -d '\n'
}
background "$LUCID" run --cpus 2 --cpu-affinity 0 -- sh -c 'echo ready; sleep 100'
soon out_has ready
check 'virtual CPUs are kept where they are to be' [ "$(affinity_of)" = 0 ]
kill -TERM $pid
wait $pid

# ---- Pause ----------------------------------------------------------------------------

# Nanoseconds that the processes of the guest have run.
ran() {
	local pid one sum=0
	for pid in $(lucid_processes); do
		[ "$pid" = "$1" ] || read -r one _ <"/proc/$pid/schedstat" && sum=$((sum + one))
	done 2>/dev/null
	echo $sum
}
background "$LUCID" run --cpus 2 --verbose --rootfs "$TMP/root" -- sh -c 'echo ready; smp 2'
check 'guest is up' soon out_has ready
quiet=0
for i in 1 2 3 4 5 6 7 8; do
	sleep 0.3
	kill -RTMIN $pid
	sleep 0.2
	before=$(ran $pid)
	sleep 0.1
	[ "$(ran $pid)" != "$before" ] || quiet=$((quiet + 1))
	kill -RTMIN+1 $pid
done
wait $pid
status=$?
check 'nothing runs while it is paused' [ $quiet -ge 6 ]
check 'it goes on as if nothing had been' both 0 'ready
ok'
# The middle one: the host may have had other things to do once.
median=$(sed -n 's/^lucid: paused after \([0-9.]*\) ms$/\1/p' "$TMP/err" | sort -n | sed -n 4p)
echo "# paused after $median ms, in the middle of eight"
check 'it pauses within 10 ms' awk "BEGIN { exit !(${median:-99} < 10) }"
finish
