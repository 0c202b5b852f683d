# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The exit status is the command's, or tells why there was none.
# as: nobody
. "$TREE/test/system/lib.sh"

guest 'exit 0'
check 'status 0' both 0 ''
guest 'exit 3'
check 'status 3' status_is 3
guest 'exit 255'
check 'status 255' status_is 255
for signal in 1 6 9 11 15; do
	guest "kill -$signal \$\$"
	check "ended by signal $signal" status_is $((128 + signal))
done
guest 'echo a | tr a b; ls / | grep -c . >/dev/null && echo c'
check 'a pipeline' both 0 'b
c'
guest 'for i in $(seq 200); do echo $i; done | grep 7 | sort -rn | head -n 3 | wc -l'
check 'a longer pipeline' both 0 3

lucid -- /etc/passwd
check 'not executable' status_is 126
check 'not executable: one line' err_has '^lucid: .*passwd'
lucid -- /no/such/command
check 'not found' status_is 127
lucid -- no-such-command
check 'not found in PATH' status_is 127
check 'not found: nothing on stdout' out_is ''

lucid --timeout 2 -- sleep 30
check 'timeout ends it' [ "$status" -ne 0 ]
check 'not by our own timeout' [ "$status" -ne 137 ]

run "$LUCID" --help
check 'help' out_has 'lucid COMMAND'
run "$LUCID" run --help
check 'help of run' out_has '--rootfs PATH'
run "$LUCID" help run
check 'help run' out_has '--rootfs PATH'
run "$LUCID" version
check 'version' out_has '^lucid [0-9]'
finish
