# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Signals to lucid: the first ends the guest cleanly, a second one at once.
# as: nobody
. "$TREE/test/system/lib.sh"

# start SCRIPT: a guest that says when it is ready, in the background, as $pid.
start() {
	background "$LUCID" run -- sh -c "$1"
	soon out_has ready
}

# Waits for $pid, at most ten seconds.
end() {
	soon gone || kill -9 $pid
	wait $pid
	status=$?
}

gone() {
	! kill -0 "$pid" || [ "$(cut -d ' ' -f 3 "/proc/$pid/stat")" = Z ]
}

for signal in TERM INT HUP; do
	start 'trap "echo got it; exit 7" TERM INT HUP; echo ready; while :; do sleep 0.1; done'
	kill -$signal $pid
	end
	check "SIG$signal reaches the command" out_has 'got it'
	check "SIG$signal ends the machine" [ "$status" -ne 137 ]
done

start 'echo ready; sleep 100'
kill -TERM $pid
end
check 'SIGTERM ends a command that has no handler' [ "$status" -ne 137 ]

start 'trap "" TERM INT HUP; echo ready; while :; do sleep 1; done'
kill -TERM $pid
sleep 0.5
kill -TERM $pid
begun=$SECONDS
end
check 'a second SIGTERM kills' [ "$status" -ne 137 ]
check 'a second SIGTERM kills at once' [ $((SECONDS - begun)) -le 3 ]
check 'nothing left after the second' nothing_left

# What was written is on the disk after a clean end.
truncate -s 16M "$TMP/disk"
/sbin/mkfs.ext4 -q "$TMP/disk"
background "$LUCID" run --disk "$TMP/disk" -- sh -c 'mount -t ext4 /dev/vda /mnt && echo data >/mnt/file &&
	echo ready && sleep 100'
soon out_has ready
kill -TERM $pid
end
check 'file system is clean or recovers' /sbin/e2fsck -p "$TMP/disk" >/dev/null
run /sbin/debugfs -R 'cat file' "$TMP/disk"
check 'data is on the disk' out_is data

# Stopped and continued, as by a debugger or the freezing of a container: all its processes.
background "$LUCID" run -- sh -c 'echo ready; sleep 2; echo end'
soon out_has ready
mapfile -t all < <(lucid_processes)
kill -STOP "${all[@]}" 2>/dev/null
sleep 1
kill -CONT "${all[@]}" 2>/dev/null
wait $pid
status=$?
check 'goes on after SIGSTOP and SIGCONT' [ $status -eq 0 ]
check 'with its command' out_has end
finish
