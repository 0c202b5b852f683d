# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A machine that is killed at any moment of its life, its monitor, one of its other processes or
# all at once, leaves nothing on the host. KILLS=500 (make stress) for more of them.
# as: nobody
# timeout: 900
. "$TREE/test/system/lib.sh"

kills=${KILLS:-60}
RANDOM=${SEED:-1}
mounts() {
	cut -d ' ' -f 2 /proc/self/mounts | sort
}
shmem() {
	awk '/^Shmem:/ { print $2 }' /proc/meminfo
}
groups() {
	find /sys/fs/cgroup -type d -name 'lucid*' 2>/dev/null
}
# A folder and a disk that change, a network, a name: all that a machine has of the host.
mkdir "$TMP/folder"
truncate -s 16M "$TMP/disk"
options=('' '--name victim' "-v $TMP/folder:/mnt" "--disk $TMP/disk" "--net socket=$TMP/switch"
	'--net none --cpus 3' '--memory 128M..512M' '--name victim --vsock')
guest='i=0; while :; do (dd if=/dev/zero of=/tmp/x bs=64k count=64; ls /mnt) >/dev/null 2>&1; done'

# victim PID: itself, or any of its processes.
victim() {
	local all
	mapfile -t all < <(lucid_processes)
	if [ $((RANDOM % 3)) -gt 0 ] || [ ${#all[@]} -eq 0 ]; then
		echo "$1"
	else
		echo "${all[RANDOM % ${#all[@]}]}"
	fi
}

before=$(shmem)
mounts >"$TMP/mounts"
bad=0
for ((n = 0; n < kills; n++)); do
	# shellcheck disable=SC2086 # options are words
	background "$LUCID" run ${options[RANDOM % ${#options[@]}]} -- sh -c "$guest"
	# Half of them while they start, the rest when the command runs.
	sleep "0.$(printf %03d $((RANDOM % (n % 2 ? 80 : 400))))"
	case $((RANDOM % 4)) in
	0) kill -TERM "$(victim $pid)" ;;
	1) lucid_processes | xargs -r kill -KILL ;;
	*) kill -KILL "$(victim $pid)" ;;
	esac 2>/dev/null
	# One that lost a space goes on.
	sleep 0.02
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	if ! nothing_left; then
		bad=$((bad + 1))
		echo "# left by number $n: $(lucid_processes | tr '\n' ' ') $(ls -A "$XDG_RUNTIME_DIR")"
		lucid_processes | xargs -r kill -KILL
	fi
done
check "$kills killed, nothing left of any" [ $bad -eq 0 ]
# The socket of a switch that was killed is taken by the next machine on it, and goes with that.
lucid --net "socket=$TMP/switch" -- true
soon nothing_left
check 'no file of theirs' [ "$(cd "$TMP" && echo ./*)" = './disk ./err ./folder ./mounts ./out ./run' ]
mounts | diff "$TMP/mounts" - >"$TMP/out"
check 'no mount' [ ! -s "$TMP/out" ]
check 'no control group' [ -z "$(groups)" ]
check 'their memory is free' [ $(($(shmem) - before)) -lt 51200 ]
lucid -- echo works
check 'the next one works' both 0 works
finish
