# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Hosts that lack something: what Lucid cannot do without is told in one line, what it can is not
# missed, or warned of once. A seccomp filter makes this host one of them.
# as: nobody
. "$TREE/test/system/lib.sh"

# without WHAT OPTIONS... -- COMMAND...
without() {
	# shellcheck disable=SC2086
	timeout -k 5 "$RUN_TIMEOUT" /usr/bin/python3 "$TREE/test/system/without.py" "$1" \
		"$LUCID" run --net none ${LUCID_TEST_OPTIONS:-} "${@:2}" </dev/null >"$TMP/out" 2>"$TMP/err"
	status=$?
}

without dispatch -- true
check 'no Syscall User Dispatch' bad_input
check 'which is what it says' err_has 'no Syscall User Dispatch; Linux 5.11 or later'
without pkey_alloc -- sh -c 'echo runs; grep -c pku /proc/cpuinfo'
check 'no protection keys: it runs' eval 'status_is 1 && out_has "^runs$" && out_has "^0$"'
check 'with a wall of another kind, or a warning' [ "$(wc -l <"$TMP/err")" -le 1 ]
without pkey_alloc --isolation unified -- echo runs
check 'no protection keys and no other wall: it runs' both 0 runs
check 'with one warning' [ "$(grep -c '^lucid: warning: .*protection keys' "$TMP/err")" -eq 1 ]
check 'and nothing else' [ "$(wc -l <"$TMP/err")" -eq 1 ]
without arch_prctl -- echo runs
sed -i '/^lucid: warning: .*protection keys/d' "$TMP/err"
check 'no CPUID faulting' eval 'both 0 runs && [ ! -s "$TMP/err" ]'
finish
