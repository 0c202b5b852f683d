# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# All verbs at once on one machine and on twenty, while monitors and spaces are killed at random
# moments and names are taken again. Machines that nobody touches notice nothing.
# STORM=120 STORM_MACHINES=50 test/run storm is the long form: seconds and machines.
# timeout: 600
. "$TREE/test/system/lib.sh"

seconds=${STORM:-8}
machines=${STORM_MACHINES:-20}
workers=5

start() {
	timeout -k 5 "$RUN_TIMEOUT" "$LUCID" run --detach --net none --memory 64M --name "$1" -- \
		sh -c 'i=0; while sleep 1; do i=$((i + 1)); echo $i; done' </dev/null >/dev/null
}

pid_of() {
	timeout 10 "$LUCID" inspect "$1" 2>/dev/null | awk '$1 == "pid" { print $2 }'
}

# act VERB NAME: leaves what its status may be besides 0 and 125 in $also.
act() {
	also=
	case $1 in
	ps-json) "$LUCID" ps --json ;;
	ps) "$LUCID" ps ;;
	stats | top) "$LUCID" "$1" --once ;;
	stats-json) "$LUCID" stats --json "$2" ;;
	inspect) "$LUCID" inspect --json "$2" ;;
	exec) also='3 137 143' && "$LUCID" exec --no-stdin "$2" sh -c 'exit 3' ;;
	put) "$LUCID" cp "$TREE/test/system/lib.sh" "$2:/tmp/x$RANDOM" ;;
	get) "$LUCID" cp "$2:/etc/passwd" "$TMP/got.$BASHPID" ;;
	smaller) "$LUCID" memory --no-wait "$2" 48M ;;
	larger) "$LUCID" memory --no-wait "$2" 64M ;;
	attach)
		also='137 143'
		timeout --preserve-status -s TERM 0.3 "$LUCID" attach --no-stdin "$2"
		;;
	*) "$LUCID" "$1" "$2" ;;
	esac
}

# worker NUMBER SECONDS NAMES...: verbs at random; a line for each that did what none may.
worker() {
	local me=$1 until=$((SECONDS + $2)) verb name status begin also
	local verbs=(ps ps-json stats stats-json top inspect exec exec put get smaller larger attach
		logs pause resume resume stop kill)
	shift 2
	local names=("$@")
	RANDOM=$((me * 7919 + SEED))
	while [ $SECONDS -lt $until ]; do
		verb=${verbs[RANDOM % ${#verbs[@]}]}
		name=${names[RANDOM % ${#names[@]}]}
		begin=$SECONDS
		# A subshell, so that time out holds for a function.
		act "$verb" "$name" </dev/null >/dev/null 2>"$TMP/err.$me"
		status=$?
		echo "$verb" >>"$TMP/done.$me"
		if [[ " 0 125 $also " != *" $status "* ]]; then
			echo "$verb $name: status $status"
		elif [ $status -eq 125 ] && [ "$(wc -l <"$TMP/err.$me")" -ne 1 ] && [ "$verb" != stats ]; then
			echo "$verb $name: $(wc -l <"$TMP/err.$me") lines: $(head -n 3 "$TMP/err.$me" | tr '\n' '|')"
		elif [ $((SECONDS - begin)) -gt 25 ]; then
			echo "$verb $name: took $((SECONDS - begin)) s"
		fi
	done >>"$TMP/wrong.$me"
}

# One that is paused before its command runs keeps whoever starts it waiting.
start_again() {
	local pid
	start "$1" &
	pid=$!
	while sleep 0.2 && kill -0 $pid 2>/dev/null; do
		"$LUCID" resume "$1" 2>/dev/null
	done
	wait $pid
}

# Kills a monitor, or a process that the guest runs in, and takes the names again that are free.
killer() {
	local until=$((SECONDS + $1)) name pid child
	shift
	local names=("$@")
	RANDOM=$SEED
	while [ $SECONDS -lt $until ]; do
		name=${names[RANDOM % ${#names[@]}]}
		pid=$(pid_of "$name")
		if [ -n "$pid" ]; then
			if [ $((RANDOM % 3)) -eq 0 ]; then
				child=$(ps --ppid "$pid" -o pid= | shuf -n 1)
				kill -KILL ${child:+"$child"} 2>/dev/null
			else
				kill -KILL "$pid" 2>/dev/null
			fi
			echo kill >>"$TMP/done.killer"
		fi
		sleep "0.$((RANDOM % 4))"
		start_again "$name" 2>"$TMP/err.killer" ||
			grep -q "there is a machine named $name already" "$TMP/err.killer" ||
			# What is ended while it begins has to say so.
			grep -q "ended\|stopped or killed" "$TMP/err.killer" ||
			echo "start $name: status $? $(tr '\n' '|' <"$TMP/err.killer")"
	done >>"$TMP/wrong.killer"
}

# storm NAMES...
storm() {
	local pids=() i
	rm -f "$TMP"/wrong.* "$TMP"/done.*
	for ((i = 1; i <= workers; i++)); do
		worker $i "$seconds" "$@" &
		pids+=($!)
	done
	killer "$seconds" "$@" &
	wait "${pids[@]}" $!
}

nothing_wrong() {
	sed 's/^/# /' "$TMP"/wrong.*
	[ -z "$(cat "$TMP"/wrong.*)" ]
}

# free_or_there NAMES...: each name is that of a machine that answers, or can be had.
free_or_there() {
	local name
	for name in "$@"; do
		"$LUCID" inspect "$name" >/dev/null 2>&1 || start "$name" || return 1
	done
	[ "$("$LUCID" ps | grep -cE ' (running|paused) ')" -eq "$(("$#" + ${#witness[@]}))" ]
}

# No process of a machine that is not listed.
no_stray() {
	local pids
	pids=$("$LUCID" ps | awk 'NR > 1 { print $3 }')
	for p in $(lucid_processes); do
		parent=$(awk '{ print $4 }' "/proc/$p/stat" 2>/dev/null) || continue
		grep -qxE "$p|$parent" <<<"$pids" || { echo "# stray $p of $parent" && return 1; }
	done
}

SEED=${STORM_SEED:-$RANDOM}
echo "# STORM_SEED=$SEED"
witness=(w1 w2)
for name in "${witness[@]}"; do
	check "a witness" start "$name"
done
pid1=$(pid_of w1) pid2=$(pid_of w2)
begin=$SECONDS

check 'a machine' start one
storm one
echo "# $(cat "$TMP"/done.* | sort | uniq -c | sort -rn | awk '{ printf "%s %s, ", $2, $1 }')"
check 'all verbs at once on one machine, with kills' nothing_wrong
check 'its name is free, or it is there' free_or_there one
run "$LUCID" kill one

names=()
pids=()
for ((i = 1; i <= machines; i++)); do
	names+=("m$i")
	start "m$i" &
	pids+=($!)
done
check "$machines machines" wait "${pids[@]}"
storm "${names[@]}"
echo "# $(cat "$TMP"/done.* | sort | uniq -c | sort -rn | awk '{ printf "%s %s, ", $2, $1 }')"
check "all verbs at once on $machines machines, with kills" nothing_wrong
check 'each name is free, or the machine is there' free_or_there "${names[@]}"
check 'no process is left of those that were killed' soon no_stray

# They count the seconds, with none left out.
whole() {
	local n
	n=$("$LUCID" logs "$1" | awk '$1 != NR { bad = 1 } END { print bad ? 0 : NR }')
	[ "$n" -gt $(((SECONDS - begin) / 2)) ] || { echo "# $n of $((SECONDS - begin))" && return 1; }
}
check 'the witnesses are who they were' [ "$(pid_of w1) $(pid_of w2)" = "$pid1 $pid2" ]
for name in "${witness[@]}"; do
	check 'a witness has noticed nothing' whole "$name"
done
run "$LUCID" kill --all
check 'the end' status_is 0
finish
