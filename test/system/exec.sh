# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Further commands in a machine, and files into it and out of it.
# timeout: 240
# as: nobody
. "$TREE/test/system/lib.sh"

is() {
	[ "$1" = "$2" ]
}

# ex ARGUMENTS...: lucid exec in the machine, without input.
ex() {
	run "$LUCID" exec "$@" </dev/null
}

run "$LUCID" run --detach --name box -- sleep 1000 </dev/null
check 'a machine' both 0 box

ex box -- sh -c 'echo out; echo err >&2; exit 5'
check 'output and status' both 5 out
check 'stderr is apart' is "$(cat "$TMP/err")" err
run "$LUCID" exec box tr a-z A-Z <<<hello
check 'input' both 0 HELLO
ex box -- sh -c 'kill -9 $$'
check 'a signal' status_is 137
ex box /nonexistent
check 'not found' status_is 127
ex box /etc/passwd
check 'not executable' status_is 126
ex --env A='x y' --workdir /tmp --user 12:34 box -- sh -c 'echo "$A $(pwd) $(id -u) $(id -g) $HOME"'
check 'environment, directory, user' out_is 'x y /tmp 12 34 /'
head -c 20000000 /dev/urandom >"$TMP/big"
run "$LUCID" exec box cat <"$TMP/big"
check '20 MB there and back' cmp "$TMP/big" "$TMP/out"
run "$LUCID" exec box head -c 5 <"$TMP/big"
check 'input that is not read' [ "$(head -c 5 "$TMP/big" | od)" = "$(od <"$TMP/out")" ]
run "$LUCID" exec box sh -c 'cat >/dev/null; seq 100000' </dev/null
check 'much output' is "$(tail -n 1 "$TMP/out")" 100000
# shellcheck disable=SC2016
run bash -c '"$0" exec box seq 10000000 | head -n 3' "$LUCID"
check 'output that nobody reads' out_is '1
2
3'
ex box -- sh -c 'sleep 100 & echo started'
check 'a process left behind keeps nobody' both 0 started
background "$LUCID" exec box -- sh -c 'trap "echo got >/tmp/hup; exit" HUP; echo ready; while :; do sleep 0.1; done'
check 'a command that goes on' soon out_has ready
kill -KILL $pid
wait $pid 2>/dev/null
check 'gets SIGHUP when its client dies' soon "$LUCID" exec --no-stdin box -- test -e /tmp/hup
background "$LUCID" exec box -- sh -c 'trap "echo int; exit 3" INT; echo ready; while :; do sleep 0.1; done'
soon out_has ready
kill -INT $pid
wait $pid
status=$?
check 'signals go to it' status_is 3
check 'and it heard it' out_has int
check 'a terminal' is "$(script -qec "stty rows 31 cols 99; $LUCID exec box -- sh -c 'test -t 0 && stty size; exit 4'; echo =\$?" /dev/null |
	tr -d '\r' | sed 's/^[^0-9=]*//' | tr '\n' ' ')" '31 99 =4 '

# ---- Many ----------------------------------------------------------------------------
monitor=$("$LUCID" inspect box | awk '$1 == "pid" { print $2 }')
# What the guest has in use without what it caches, in KiB, and its processes.
# shellcheck disable=SC2016
in_guest='awk "/^MemTotal/ { t = \$2 } /^MemAvailable/ { print t - \$2 }" /proc/meminfo; ps | grep -vc "\["'
exec_some() {
	local i
	for i in $(seq "$1"); do
		"$LUCID" exec --no-stdin box true || return 1
	done
}
check '50 commands' exec_some 50
ex box -- sh -c "$in_guest"
used=$(sed -n 1p "$TMP/out") processes=$(sed -n 2p "$TMP/out")
rss=$(awk '/^RssAnon/ { print $2 }' "/proc/$monitor/status")
# Descriptors can be seen by root alone.
sockets() {
	find "/proc/$monitor/fd" -type l -lname 'socket:*' 2>/dev/null | wc -l
}
had=$(sockets)
many=1000
[ "$(id -u)" -eq 0 ] || many=100
pids=()
failed=0
for i in 1 2; do
	exec_some $((many / 2)) &
	pids+=($!)
done
for i in "${pids[@]}"; do
	wait "$i" || failed=$((failed + 1))
done
check "$many commands" is $failed 0
ex box -- sh -c "$in_guest"
check 'no memory of the guest is lost' [ $(($(sed -n 1p "$TMP/out") - used)) -lt 2048 ]
check 'no process either' is "$(sed -n 2p "$TMP/out")" "$processes"
check 'no memory of the monitor' [ $(($(awk '/^RssAnon/ { print $2 }' "/proc/$monitor/status") - rss)) -lt 1024 ]
if [ "$(id -u)" -eq 0 ]; then
	check 'no descriptor' [ "$(find "/proc/$monitor/fd" -type l | wc -l)" -lt 40 ]
	check 'no connection' [ "$(sockets)" -le "$had" ]
fi

# ---- Copies --------------------------------------------------------------------------
mkdir -p "$TMP/src/a"
cp "$TMP/big" "$TMP/src/a/big"
ln -s a/big "$TMP/src/link"
echo text >"$TMP/src/text"
chmod 640 "$TMP/src/text"
run "$LUCID" cp "$TMP/src" box:/tmp
check 'cp into a machine' both 0 ''
ex box -- sh -c 'md5sum </tmp/src/link; stat -c %a /tmp/src/text'
check 'it is all there' out_is "$(md5sum <"$TMP/big")
640"
run "$LUCID" cp box:/tmp/src "$TMP/back"
check 'cp out of a machine' both 0 ''
check 'it has come back' diff -r --no-dereference "$TMP/src" "$TMP/back"
run "$LUCID" cp box:/tmp/src/text "$TMP/src/a/copy"
check 'a file under another name' cmp "$TMP/src/text" "$TMP/src/a/copy"
run "$LUCID" cp box:/none "$TMP/x"
check 'a source that is not there' status_is 125
check 'is said' err_has '/none: No such file'
run "$LUCID" cp "$TMP/src" box:/none/x
check 'a target that is not there' status_is 125
run "$LUCID" cp --user 12 "$TMP/src/text" box:/etc/x
check 'another user may not' err_has 'text: Permission denied'

# One that ends in the middle: a line, whichever side it breaks off at.
run "$LUCID" run --detach --name brief --net none -- sleep 1000 </dev/null
ex brief -- sh -c 'head -c 300000000 /dev/zero >/tmp/large'
head -c 300000000 /dev/zero >"$TMP/large"
for copy in "brief:/tmp/large $TMP/got" "$TMP/large brief:/tmp/put"; do
	# shellcheck disable=SC2086
	"$LUCID" cp $copy >"$TMP/out" 2>"$TMP/err" &
	copying=$!
	sleep 0.1
	"$LUCID" kill brief
	wait $copying
	status=$?
	check 'a machine that ends in the middle of a copy' status_is 125
	check 'is said in one line' [ "$(wc -l <"$TMP/err")" -eq 1 ]
	run "$LUCID" run --detach --name brief --net none -- sleep 1000 </dev/null
done
rm -f "$TMP/large" "$TMP/got"
run "$LUCID" kill brief
check 'it ends' both 0 ''

# ---- vsock, by hand ---------------------------------------------------------------------
exchange='import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(5)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b"\n")
try:
    print(s.recv(100).decode(), end="")
except ConnectionResetError:
    pass'
sock=$XDG_RUNTIME_DIR/lucid/box/vsock
run python3 -c "$exchange" "$sock" 'CONNECT 1024'
check 'CONNECT to a port that listens' out_has '^OK [0-9]+$'
run python3 -c "$exchange" "$sock" 'CONNECT 9'
check 'to one that does not' both 0 ''
run python3 -c "$exchange" "$sock" 'nonsense'
check 'nonsense' both 0 ''
run "$LUCID" kill box
check 'the end' both 0 ''

ex nobody true
check 'a machine that is not there' bad_input
ex
check 'no machine' bad_input
ex --user x box true
check 'a bad user' bad_input
run "$LUCID" cp "$TMP/src" "$TMP/y"
check 'a copy without a machine' bad_input
finish
