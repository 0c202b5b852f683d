# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Standard streams: 8-bit clean, unmixed, ends of file in both directions.
# as: nobody
. "$TREE/test/system/lib.sh"

head -c 1048576 /dev/urandom >"$TMP/random"
run "$LUCID" run -- cat <"$TMP/random"
check '1 MiB through cat' cmp -s "$TMP/random" "$TMP/out"
check '1 MiB through cat: status' status_is 0
run "$LUCID" run -- sh -c 'cat >&2' <"$TMP/random"
check '1 MiB to stderr' cmp -s "$TMP/random" "$TMP/err"
run "$LUCID" run -- wc -c < <(cat "$TMP/random")
check 'input by a pipe' both 0 1048576

guest 'for i in $(seq 500); do echo out $i; echo err $i >&2; done'
seq 500 | sed 's/^/out /' >"$TMP/want-out"
seq 500 | sed 's/^/err /' >"$TMP/want-err"
check 'stdout unmixed' cmp -s "$TMP/want-out" "$TMP/out"
check 'stderr unmixed' cmp -s "$TMP/want-err" "$TMP/err"

lucid -- cat
check 'empty input ends' both 0 ''
printf 'a line\nand no newline' >"$TMP/lines"
run "$LUCID" run -- sh -c 'read -r x; echo "<$x>"; cat' <"$TMP/lines"
check 'input by lines' both 0 '<a line>
and no newline'

# Input that never ends must not keep a command from ending.
mkfifo "$TMP/fifo"
sleep 100 >"$TMP/fifo" &
sleeper=$!
run "$LUCID" run -- true <"$TMP/fifo"
check 'unread open input' status_is 0
kill $sleeper

# A reader that goes away ends the writer, as on any system.
timeout 30 "$LUCID" run -- yes </dev/null 2>"$TMP/err" | head -n 1 >"$TMP/out"
check 'reader goes away' [ "${PIPESTATUS[0]}" -ne 124 ]
check 'reader got a line' out_is y

# A slow reader loses nothing.
timeout 60 "$LUCID" run -- sh -c 'dd if=/dev/zero bs=64k count=64 2>/dev/null' </dev/null |
	(sleep 2 && wc -c) >"$TMP/out"
check 'slow reader' out_is 4194304
run "$LUCID" run -- sh -c 'exec <&-; exec >&-; exit 4' </dev/null
check 'closed streams' status_is 4
finish
