# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Kernel messages: nowhere, to a file, to stderr; and what a panic shows.
# as: nobody
. "$TREE/test/system/lib.sh"

guest 'echo hello'
check 'silent by default' [ ! -s "$TMP/err" ]
lucid --console "$TMP/console" -- echo hello
check 'console to a file' grep -q 'Linux version 6' "$TMP/console"
check 'console to a file: no other output' both 0 hello
check 'console to a file: stderr is empty' [ ! -s "$TMP/err" ]
lucid --console - -- echo hello
check 'console to stderr' err_has 'Linux version 6'
check 'stdout is unmixed' both 0 hello
lucid --console - -- sh -c 'echo marker >/dev/kmsg; exit 0'
check 'the last message is not lost' err_has marker
lucid --append 'foo=bar loglevel=7' -- cat /proc/cmdline
check 'append' out_has 'foo=bar'
lucid --verbose -- true
check 'verbose says something' err_has '^lucid: '

lucid --append rdinit=/none -- true
check 'panic: status' status_is 125
check 'panic: last lines' err_has 'Kernel panic'
check 'panic: one line of our own' [ "$(grep -c '^lucid: ' "$TMP/err")" -eq 1 ]
guest 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; sleep 5'
check 'panic by request' status_is 125
finish
