# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# However a machine ends, no process, memory or file of it stays.
# as: nobody
. "$TREE/test/system/lib.sh"

before=$(awk '/^Shmem:/ { print $2 }' /proc/meminfo)
background "$LUCID" run --memory 256M -- sh -c 'dd if=/dev/zero of=/tmp/x bs=1M count=100 2>/dev/null
	echo ready; sleep 100'
check 'guest is up' soon out_has ready
check 'it has processes' [ "$(lucid_processes | wc -l)" -ge 2 ]
kill -KILL $pid
wait $pid 2>/dev/null
check 'nothing left after SIGKILL' nothing_left
after=$(awk '/^Shmem:/ { print $2 }' /proc/meminfo)
check 'its memory is free' [ $((after - before)) -lt 51200 ]

# A space that is killed is rebuilt, or its process in the guest dies; the machine goes on.
background "$LUCID" run -- sh -c 'echo ready; for i in $(seq 40); do ls / >/dev/null; sleep 0.1; done; echo end'
soon out_has ready
for victim in $(lucid_processes); do
	[ "$victim" = $pid ] || { kill -KILL "$victim" 2>/dev/null && break; }
done
soon out_has end || kill -KILL $pid
wait $pid
status=$?
check 'a killed space harms no more than a process' [ "$status" -ne 137 ]

guest 'exit 0'
check 'a clean end' nothing_left
lucid --append 'rdinit=/none' -- true
check 'a panic' nothing_left
lucid --timeout 1 -- sleep 100
check 'a timeout' nothing_left

# A signal while an image is made.
make_root "$TMP/root"
dd if=/dev/urandom of="$TMP/root/big" bs=1M count=200 2>/dev/null
for delay in 0.02 0.1 0.3; do
	background "$LUCID" run --rootfs "$TMP/root" -- true
	sleep $delay
	kill -TERM $pid
	wait $pid
	status=$?
	check "SIGTERM $delay s into an image" nothing_left
done
background "$LUCID" run --rootfs "$TMP/root" -- true
sleep 0.1
kill -KILL $pid
wait $pid 2>/dev/null
lucid --rootfs "$TMP/root" -- echo works
check 'an image after a killed build' both 0 works
check 'the killed build is cleaned up' nothing_left
finish
