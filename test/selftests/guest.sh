# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Runs inside the guest: the tests whose names come on stdin, each a line "SECONDS NAME ARGUMENTS".
# The tests are in /selftests. Each one's output comes with "| " before each line, then
# "= STATUS SECONDS NAME"; at the end what the kernel had to complain of, by the name dmesg.
set -u

# They write to where they are.
mkdir /tmp/selftests
cp -a /selftests/. /tmp/selftests
export LD_LIBRARY_PATH=/tmp/selftests/lib
dmesg -C
ulimit -c 0

# What ends by a signal is told by its status.
exec 2>/dev/null
while read -r limit name arguments; do
	cd "/tmp/selftests/${name%%:*}/$(dirname "${name#*:}")" || exit 1
	SECONDS=0
	# shellcheck disable=SC2086 # arguments are words
	(exec timeout -k 5 "$limit" "./$(basename "${name#*:}")" $arguments </dev/null >/tmp/log 2>&1)
	status=$?
	tr -d '\r' </tmp/log | head -n 4000 | awk '{ print "| " $0 }'
	echo "= $status $SECONDS $name"
done

dmesg >/tmp/log
status=0
grep -E 'BUG|WARNING|Oops|Call Trace|stall|lockup|hung task|cut here|bad page' /tmp/log && status=1
[ $status -eq 0 ] || sed 's/^/| /' /tmp/log | tail -n 60
echo "= $status 0 dmesg"
