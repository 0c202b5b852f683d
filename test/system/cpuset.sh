# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Where and how much the host lets a machine run is the host's word: by affinity, by a cpuset, by a
# quota of the group that it was started in.
# as: nobody
# timeout: 120
. "$TREE/test/system/lib.sh"

if [ "$(nproc)" -lt 2 ]; then
	skip 'one CPU: no choice'
	exit 0
fi
one=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
# It begins programs, so there are always spaces anew, and says that it goes on.
busy='echo ready; for i in 1 2 3; do (while :; do /bin/true; done) & done
	while sleep 0.1; do echo on; done'

# The CPUs that each thread of the machine may use, seen often: a virtual CPU looks for its place.
allowed() {
	local process
	for _ in {1..30}; do
		for process in $(lucid_processes); do
			cat "/proc/$process"/task/*/status 2>/dev/null
		done | sed -n 's/^Cpus_allowed_list:\t//p'
		sleep 0.1
	done | sort -u | tr '\n' ' '
}

goes_on() {
	local before
	before=$(wc -l <"$TMP/out")
	sleep 2
	[ "$(wc -l <"$TMP/out")" -gt "$before" ]
}

end() {
	kill -TERM "$pid"
	wait "$pid" 2>/dev/null
}

background taskset -c "$one" "$LUCID" run --cpus 2 -- sh -c "$busy"
check 'a machine that may use one CPU is up' soon out_has ready
check 'it uses no other' [ "$(allowed)" = "$one " ]
end

# A folder where this user can make groups with the controller, of either version.
parent() {
	local folder
	folder=$(awk -v c="$1" '$3 == "cgroup" && "," $4 "," ~ "," c "," { print $2; exit }' /proc/mounts)
	if [ -z "$folder" ]; then
		folder=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
		grep -qsw "$1" "$folder/cgroup.subtree_control" || return
	fi
	[ ! -w "$folder" ] || echo "$folder"
}

group=$(parent cpuset)/lucid-test-$$
if [ "$(parent cpuset)" ] && mkdir "$group" 2>/dev/null; then
	cat "$group/../cpuset.mems" >"$group/cpuset.mems" 2>/dev/null
	echo "$one" >"$group/cpuset.cpus"
	background "$LUCID" run --cpus 4 -- sh -c "$busy"
	check 'a machine is up' soon out_has ready
	sleep 1
	# Those that are begun meanwhile too.
	for _ in 1 2 3; do
		for process in $(lucid_processes); do
			echo "$process" >"$group/cgroup.procs"
		done 2>/dev/null
	done
	check 'moved to a cpuset it uses no other CPU' [ "$(allowed)" = "$one " ]
	check 'and goes on' goes_on
	end
	sleep 0.2
	rmdir "$group"
else
	skip 'cpuset: this user can make none here'
fi

group=$(parent cpu)/lucid-test-$$
if [ "$(parent cpu)" ] && mkdir "$group" 2>/dev/null; then
	if [ -e "$group/cpu.cfs_quota_us" ]; then
		echo 50000 >"$group/cpu.cfs_quota_us"
	else
		echo '50000 100000' >"$group/cpu.max"
	fi
	# shellcheck disable=SC2016 # not to be expanded here
	background sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" \
		"$LUCID" run --cpus 2 -- sh -c "$busy"
	check 'a machine with half a CPU is up' soon out_has ready
	used() {
		local process
		for process in $(lucid_processes); do
			cat "/proc/$process"/task/*/schedstat 2>/dev/null
		done | awk '{ sum += $1 } END { printf "%d", sum / 1000000 }'
	}
	before=$(used)
	sleep 4
	took=$(($(used) - before))
	echo "# $took ms in 4 s"
	check 'it takes no more' [ $took -lt 2600 ]
	check 'and runs' [ $took -gt 200 ]
	end
	sleep 0.2
	rmdir "$group"
else
	skip 'quota: this user can make no group here'
fi
finish
