# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Verbs on machines that are not simply there: gone, starting, ending, paused, stuck, of another
# version. Each verb ends soon, and says what is wrong in one line.
# timeout: 300
# as: nobody
. "$TREE/test/system/lib.sh"

verbs='ps inspect stats logs attach exec cp memory pause resume stop kill'

start() {
	run "$LUCID" run --detach --net none --memory 64M --name "$@" </dev/null
}

# verb VERB NAME: as a user would write it.
verb() {
	case $1 in
	stats) run "$LUCID" stats --once "$2" ;;
	exec) run "$LUCID" exec --no-stdin "$2" true ;;
	cp) run "$LUCID" cp "$2:/etc/passwd" "$TMP/copy" ;;
	memory) run "$LUCID" memory "$2" 60M ;;
	attach) run "$LUCID" attach --no-stdin "$2" ;;
	*) run "$LUCID" "$1" "$2" ;;
	esac </dev/null
}

# refused VERB NAME PATTERN SECONDS: it says so, in that time.
refused() {
	local begin=$EPOCHREALTIME ms
	verb "$1" "$2"
	ms=$(((${EPOCHREALTIME/./} - ${begin/./}) / 1000))
	[ "$ms" -le $((1000 * $4)) ] || { echo "# $1 took $ms ms" && return 1; }
	# A table may still have its head.
	status_is 125 && [ "$(wc -l <"$TMP/err")" -eq 1 ] && err_has "^lucid: $3" &&
		[ "$(wc -l <"$TMP/out")" -le 1 ]
}

# all_refused NAME PATTERN SECONDS VERBS
all_refused() {
	local v
	for v in $4; do
		check "$v of $1" refused "$v" "$1" "$2" "$3"
	done
}

state() {
	"$LUCID" ps | awk -v name="$1" '$1 == name { print $2 }'
}

in_state() {
	[ "$(state "$1")" = "$2" ]
}

# ---- Gone: ended, or killed this moment ------------------------------------------------
start gone -- true
ended() {
	! "$LUCID" ps --quiet | grep -qx "$1"
}
check 'a machine that has ended' soon ended gone
all_refused gone '(no machine named gone is running|gone is starting or ending)' 1 "${verbs/logs/}"
check 'but its log is there' "$LUCID" logs gone
start killed -- sleep 1000
pid=$("$LUCID" inspect killed | awk '$1 == "pid" { print $2 }')
kill -KILL "$pid"
all_refused killed '(no machine named killed is running|killed is starting or ending)' 1 "${verbs/logs/}"

# ---- Starting, for ever ------------------------------------------------------------------
"$LUCID" run --net none --memory 64M --name starting --append 'rdinit=/bin/sleep -- 1000' \
	</dev/null >/dev/null 2>&1 &
starting=$!
check 'a machine that does not come up' soon in_state starting starting
all_refused starting 'starting: the guest takes no commands now; it is starting' 2 'exec cp'
check 'attach to one that is not detached' refused attach starting 'starting: the machine is not detached' 1
check 'it can be paused' "$LUCID" pause starting
check 'resumed' "$LUCID" resume starting
check 'stopped' "$LUCID" stop starting
wait $starting
check 'which is the end of it' [ $? -eq 143 ]

# ---- Ending: the command has been told, and takes its time ---------------------------------
start ending -- sh -c 'trap "" TERM; while :; do sleep 0.1; done'
"$LUCID" stop ending 2>/dev/null &
stop=$!
check 'a machine that ends' soon in_state ending ending
all_refused ending 'ending: the machine is ending' 1 'attach memory pause resume'
check 'kill of it' "$LUCID" kill ending
wait $stop
check 'ends the stop too' [ $? -eq 0 ]

# ---- Paused ----------------------------------------------------------------------------------
start paused -- sleep 1000
check 'a machine that is paused' "$LUCID" pause paused
all_refused paused 'paused: the machine is paused' 1 'exec cp memory pause stop'
check 'it tells of itself' "$LUCID" inspect paused
check 'can be killed' "$LUCID" kill paused

# ---- Stuck -------------------------------------------------------------------------------------
start stuck -- sleep 1000
pid=$("$LUCID" inspect stuck | awk '$1 == "pid" { print $2 }')
kill -STOP "$pid"
begin=$SECONDS
check 'a machine that is stuck' in_state stuck stuck
check 'keeps nobody waiting' [ $((SECONDS - begin)) -le 3 ]
all_refused stuck 'stuck does not answer; .lucid kill stuck. ends it' 7 \
	'inspect stats attach exec cp memory pause resume stop'
check 'but it can be killed' "$LUCID" kill stuck

# ---- Of another version --------------------------------------------------------------------------
# impostor NAME KIND
impostor() {
	/usr/bin/python3 "$TREE/test/system/impostor.py" "$XDG_RUNTIME_DIR/lucid" "$1" "$2" &
	impostors+=($!)
	soon test -S "$XDG_RUNTIME_DIR/lucid/$1/control"
}
impostors=()
start here -- sleep 1000
for kind in new mute text; do
	check "a machine that is $kind" impostor "$kind" "$kind"
done
run "$LUCID" ps
check 'ps shows each as it is' eval 'in_state new running && in_state mute stuck && in_state text unknown'
check 'and the others' in_state here running
check 'ps as JSON' eval '"$LUCID" ps --json | grep -A 1 "\"name\": \"text\"" | grep -q unknown'
all_refused new 'new: there is no such thing in this version' 1 'stats memory pause resume stop'
all_refused new 'new runs on Lucid 99.0, this is .*; use that one.s lucid for it' 1 'attach exec cp'
all_refused text 'text gives an answer that is none; is it of another version' 1 \
	'inspect stats attach exec cp memory pause resume stop'
run "$LUCID" inspect new
check 'none of them steers the terminal' eval 'status_is 0 && out_has "^title" && ! grep -qP "[\x1b\x9b]" "$TMP/out"'
run "$LUCID" stats --once
check 'stats shows those that it can' eval 'status_is 0 && out_has "^here "'
for kind in new mute text; do
	check "kill of the $kind one" "$LUCID" kill $kind
done
wait "${impostors[@]}" 2>/dev/null
run "$LUCID" kill --all
check 'the end' status_is 0
finish
