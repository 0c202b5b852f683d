# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Verbs on machines that run: one, and twenty at a time.
# timeout: 300
# as: nobody
. "$TREE/test/system/lib.sh"

start() {
	run "$LUCID" run --detach --memory 64M --name "$@" </dev/null
}

# state NAME: what ps says of it.
state() {
	"$LUCID" ps "$1" | awk -v name="$1" '$1 == name { print $2 }'
}

# running COUNT: so many machines are there, and all of them run.
running() {
	[ "$("$LUCID" ps --quiet | wc -l)" -eq "$1" ] && [ "$("$LUCID" ps | grep -c ' running ')" -eq "$1" ]
}

said() {
	"$LUCID" logs "$1" | grep -qx "$2"
}

is() {
	[ "$1" = "$2" ]
}

# ---- One -----------------------------------------------------------------------
start one -- sh -c 'echo out; echo err >&2; while read -r x; do echo "got $x"; done; exit 7'
check 'detach' both 0 one
check 'it runs' is "$(state one)" running
check 'its name is taken' is "$(start one -- true; cat "$TMP/err")" \
	'lucid: there is a machine named one already; choose another name'
run "$LUCID" inspect --json one
check 'inspect' out_has '"command": \['
check 'inspect tells the size' out_has '"memory": 67108864'
run "$LUCID" stats --json one
check 'stats' out_has '"syscalls": [1-9]'
run "$LUCID" stats --once one
check 'stats as a table' out_has '^one +[0-9.]+ '
run "$LUCID" top --once
check 'top' out_has '^one +[0-9.]+ '
check 'logs' soon said one out
check 'logs have stderr too' soon said one err
run "$LUCID" attach one <<<hello
check 'attach passes input, output and status on' both 7 'got hello'
check 'the end of the command is its end' soon running 0
run "$LUCID" logs one
check 'its log stays' out_has '^got hello$'
for verb in inspect stop kill attach 'stats --once'; do
	# shellcheck disable=SC2086
	run "$LUCID" $verb one
	check "$verb of one that is gone" bad_input
done
run "$LUCID" logs never
check 'logs of one that never was' bad_input
run "$LUCID" run --name a/b -- true
check 'a bad name' bad_input
run "$LUCID" stop
check 'stop of nothing' bad_input

start two -- sh -c 'trap "echo bye; exit 0" TERM; while :; do sleep 0.1; done'
run "$LUCID" stop two
check 'stop' both 0 ''
check 'it is gone at once' running 0
check 'the command was told' said two bye
start still -- sh -c 'while :; do echo $(date +%s%N) >/tmp/tick; done'
tick() {
	"$LUCID" exec --no-stdin still cat /tmp/tick
}
check 'a machine that is busy' soon tick >"$TMP/tick"
# Hundredths of a second: what is before the dot, and the two digits behind it.
read -r was _ < <("$LUCID" exec --no-stdin still cat /proc/uptime)
run "$LUCID" pause still
check 'pause' both 0 ''
check 'it is paused' is "$(state still)" paused
guest_seconds() {
	"$LUCID" stats --json still | awk -F '[:,]' '/cpu_guest_seconds/ { print $2 }'
}
before=$(guest_seconds)
sleep 2.5
check 'it does nothing' is "$(guest_seconds)" "$before"
run "$LUCID" pause still
check 'pause of a paused one' err_has 'still: the machine is paused already'
run "$LUCID" stop still
check 'stop of a paused one' err_has 'still: the machine is paused; resume it first'
run "$LUCID" exec still true
check 'exec in a paused one' err_has 'still: the machine is paused; resume it first'
run "$LUCID" memory still 48M
check 'memory of a paused one' err_has 'still: the machine is paused; resume it first'
run "$LUCID" resume still
check 'resume' both 0 ''
run "$LUCID" resume still
check 'resume of one that runs' err_has 'still: the machine is not paused'
check 'it goes on' tick >"$TMP/tick"
# The guest tells when its next second begins: between two looks at the host's clock, which are
# less apart than the pause was long.
before=${EPOCHREALTIME/./}
there=$("$LUCID" exec --no-stdin still sh -c \
	's=$(date +%s); while [ $(date +%s) = $s ]; do :; done; date +%s; cat /proc/uptime')
after=${EPOCHREALTIME/./}
up=${there#*$'\n'} up=${up%% *} there=${there%%$'\n'*}000000
check 'its clock is right' [ $((there - before)) -gt -100000 -a $((there - after)) -lt 100000 -a \
	$((after - before)) -lt 2000000 ]
# The pause counts, which nothing else takes nearly as long as.
check 'and that of its uptime, too' [ $((10#${up/./} - 10#${was/./})) -ge 250 ]
run "$LUCID" pause still
run "$LUCID" kill still
check 'kill of a paused one' both 0 ''

# What each column of stats counts, with a guest that does all of it.
column() {
	awk -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i }
		NR == 2 { v = $at; sub(/[BKMGk%]$/, "", v); print v + 0 }' "$TMP/out"
}
truncate -s 64M "$TMP/disk"
does='wget -q -T 1 -O /dev/null http://10.0.2.2:9/ 2>/dev/null &
	while :; do /bin/true; dd if=/dev/vda of=/dev/null bs=1M count=8 2>/dev/null; done'
start busy --disk "$TMP/disk" --net user -- sh -c "$does"
net=$status
[ "$net" -eq 0 ] || start busy --disk "$TMP/disk" --net none -- sh -c "$does"
check 'a machine that does everything' both 0 busy
run "$LUCID" stats --once busy
for name in GUEST% SYS% MON% MEMORY HOST CALLS/s FAULTS/s FILLS/s FLUSH/s EXITS/s DISK/s; do
	check "stats counts $name" [ "$(column "$name")" != 0 ]
done
check 'its memory' [ "$(column MEMORY)" = 64 ]
run "$LUCID" stats --json busy
for name in steal_seconds monitor_calls net_sent_bytes; do
	[ "$name$net" = net_sent_bytes125 ] ||
		check "stats counts $name" out_has "\"$name\": (0\.0*)?[1-9]"
done
run "$LUCID" kill busy

start three -- sh -c 'trap "" TERM; while :; do sleep 0.1; done'
run "$LUCID" kill three
check 'kill' both 0 ''
check 'it is dead at once' running 0
start four -- sleep 100
pid=$("$LUCID" inspect four | awk '$1 == "pid" { print $2 }')
kill -KILL "$pid"
check 'no ghost of a killed monitor' soon running 0
start four -- sleep 100
check 'and its name is free' both 0 four
pid=$("$LUCID" inspect four | awk '$1 == "pid" { print $2 }')
kill -STOP "$pid"
check 'a stuck one is shown as such' is "$(state four)" stuck
run "$LUCID" stop four
check 'a stuck one cannot be stopped' err_has 'four does not answer; .lucid kill four. ends it'
run "$LUCID" kill four
check 'but killed' both 0 ''

start five -- /nonexistent
check 'a command that is not there' status_is 127
check 'is said' err_has 'nonexistent'
start six --append 'rdinit=/none' -- true
check 'a machine that does not come up' status_is 125
check 'says why' err_has 'panicked'

# The log is bounded, and its end is kept.
start big -- sh -c 'i=0; while [ $i -lt 40 ]; do head -c 100000 /dev/zero | tr "\0" x; echo; i=$((i + 1)); done
	echo the end'
check 'a command that writes 4 MB' soon running 0
check 'its log is bounded' [ "$(cat "$XDG_STATE_HOME"/lucid/big.*.log | wc -c)" -le 2097152 ]
check 'and has the end' is "$("$LUCID" logs big | tail -n 1)" 'the end'

# A terminal.
start tty --tty -- sh -c 'tty; read -r x; sleep 0.2; stty size; echo "got $x"'
check 'a terminal' both 0 tty
check 'attach from a terminal' is "$(printf 'y\n' | script -qec "stty rows 30 cols 77; $LUCID attach tty" /dev/null |
	tr -d '\r' | tail -n 1)" 'got y'
check 'it was one' is "$("$LUCID" logs tty | grep -c /dev/pts/0)" 1
check 'of the size of ours' is "$("$LUCID" logs tty | grep -c '30 77')" 1

# ---- Twenty ----------------------------------------------------------------------
pids=()
for i in $(seq 20); do
	"$LUCID" run --detach --memory 64M --name "m$i" -- sleep 1000 </dev/null >/dev/null 2>&1 &
	pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do
	wait "$pid" || failed=$((failed + 1))
done
check '20 at a time' is $failed 0
check '20 are listed' running 20
run "$LUCID" inspect --json --all
check 'inspect of 20' is "$(grep -c '"state": "running"' "$TMP/out")" 20
pid=$("$LUCID" inspect m7 | awk '$1 == "pid" { print $2 }')
kill -KILL "$pid"
check 'one is killed' soon running 19

# Verbs beside each other, and kills in the middle of them.
pids=()
for i in $(seq 8 14); do
	"$LUCID" inspect --json "m$i" >/dev/null 2>&1 &
	pids+=($!)
	"$LUCID" stats --json "m$i" >/dev/null 2>&1 &
	pids+=($!)
	"$LUCID" stop "m$i" >/dev/null 2>&1 &
	pids+=($!)
	"$LUCID" kill "m$((i + 1))" >/dev/null 2>&1 &
	pids+=($!)
	"$LUCID" ps >/dev/null &
	pids+=($!)
done
wait "${pids[@]}"
check 'all of these are gone, the rest answers' soon running 11
run "$LUCID" stop --all
check 'stop --all' both 0 ''
check 'none is left' running 0
finish
