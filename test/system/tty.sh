# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A terminal: raw mode, window size, Ctrl-C, and the terminal as it was afterwards.
. "$TREE/test/system/lib.sh"

# On a pseudo terminal: script(1) makes one. on_tty INPUT LUCID-ARGUMENTS...
on_tty() {
	local input=$1
	shift
	# shellcheck disable=SC2059
	(sleep 3 && printf "$input" && sleep 3) |
		timeout -k 5 60 script -qec "stty rows 33 cols 77; $LUCID run $*; echo status=\$?; stty -a" \
			/dev/null >"$TMP/out" 2>"$TMP/err"
	status=$?
}

on_tty '' '-- sh -c "tty; stty size; echo \$TERM"'
check 'a terminal' out_has '^/dev/'
check 'window size' out_has '^33 77'
check 'terminal type' out_has "^${TERM:-dumb}"
check 'terminal is restored' out_has '(^| )echo '
on_tty '\003' '-- sh -c "trap \"echo interrupted; exit 9\" INT; sleep 20 & wait"'
check 'Ctrl-C goes to the guest' out_has interrupted
check 'Ctrl-C: status' out_has 'status=9'
on_tty 'echo a$((1+1))b\nexit 5\n' ''
check 'a shell' out_has 'a2b'
check 'a shell: status' out_has 'status=5'
finish
