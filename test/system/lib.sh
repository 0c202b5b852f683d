# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What every system test sources: runs lucid, checks, prints "ok NAME" or "not ok NAME".
#
# test/run sets LUCID (the command), TMP (a folder of the test's own), TREE (the source)
# and DEBIAN (a Debian root image). A test sets nothing up outside TMP.
set -uo pipefail

RUN_TIMEOUT=60
# Machines of other tests are none of ours.
export XDG_RUNTIME_DIR=$TMP/run XDG_STATE_HOME=$TMP/state
mkdir -p "$XDG_RUNTIME_DIR" && chmod 700 "$XDG_RUNTIME_DIR"
failures=0
status=0

# check NAME COMMAND...: the command must succeed.
check() {
	local name=$1
	shift
	if "$@"; then
		echo "ok $name"
	else
		failures=$((failures + 1))
		echo "not ok $name (status $status)"
		# The last run's output tells why, if anything does.
		tail -n 5 "$TMP/out" "$TMP/err" 2>/dev/null | cut -c 1-200 | sed 's/^/#   /'
	fi
}

skip() {
	echo "skip $1"
}

# run COMMAND...: leaves its status in $status, its streams in $TMP/out and $TMP/err.
# Input is this shell's; a test that needs none says </dev/null.
run() {
	timeout -k 5 "$RUN_TIMEOUT" "$@" >"$TMP/out" 2>"$TMP/err"
	status=$?
	# A host without protection keys is warned of at each start; it is no finding.
	sed -i '/^lucid: warning: .*protection keys/d' "$TMP/err"
}

# lucid OPTIONS... -- COMMAND...: in a virtual machine, without input.
lucid() {
	# shellcheck disable=SC2086
	run "$LUCID" run ${LUCID_TEST_OPTIONS:-} "$@" </dev/null
}

# background COMMAND...: without input, as $pid, with its streams where run leaves them.
background() {
	# Else what the last one said may be taken for its word.
	: >"$TMP/out"
	"$@" </dev/null >"$TMP/out" 2>"$TMP/err" &
	pid=$!
}

# guest SCRIPT: a shell script in a virtual machine with the default root.
guest() {
	lucid -- sh -c "$1"
}

status_is() {
	[ "$status" -eq "$1" ]
}

# The last run's whole stdout, but for newlines at its end.
out_is() {
	[ "$(cat "$TMP/out")" = "$1" ]
}

out_has() {
	grep -qE -- "$1" "$TMP/out"
}

err_has() {
	grep -qE -- "$1" "$TMP/err"
}

both() {
	status_is "$1" && out_is "$2"
}

# The last run ended as bad input must: 125, no output, one line "lucid: what; what to do".
bad_input() {
	status_is 125 && [ ! -s "$TMP/out" ] && [ "$(wc -l <"$TMP/err")" -eq 1 ] &&
		err_has '^lucid: .*; ' && nothing_left
}

# Processes of the lucid under test. They hide their executable from all but root; for
# anyone else they are told by name and user.
lucid_processes() {
	if [ "$(id -u)" -eq 0 ]; then
		find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' -lname "$(readlink -f "$LUCID")" \
			-printf '%h\n' 2>/dev/null | cut -d / -f 3
	else
		ps -u "$(id -u)" -o pid=,comm= | awk '$2 == "lucid" || $2 ~ /^lucid-/ { print $1 }'
	fi
}

# Nothing of lucid is left: processes, temporary files, half-made images. Memory and
# descriptors go with the processes. What was killed may need a moment.
nothing_left() {
	local tries=20 left
	while [ -n "$(lucid_processes)" ] && [ $tries -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.1
	done
	# What a killed one has left is removed by whoever looks next.
	"$LUCID" ps >/dev/null
	left=$(
		lucid_processes
		find "$XDG_RUNTIME_DIR" -mindepth 1
		find "$XDG_CACHE_HOME/lucid/images" -maxdepth 1 -name tmp 2>/dev/null
		find /dev/shm "$TMPDIR" -maxdepth 1 -name 'lucid*'
	)
	[ -z "$left" ] || { echo "# left: ${left//$'\n'/ }" && return 1; }
}

# soon COMMAND...: the command succeeds within ten seconds.
soon() {
	local tries=100
	until "$@" 2>/dev/null; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

# make_root DIR: busybox and the programs of test/system/prog, linked statically.
make_root() {
	local applet source
	mkdir -p "$1"/{bin,dev,etc,proc,sys,tmp,root}
	cp "$(command -v busybox)" "$1/bin/busybox"
	for applet in $(busybox --list); do
		[ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"
	done
	echo root:x:0:0:root:/root:/bin/sh >"$1/etc/passwd"
	for source in "$TREE"/test/system/prog/*.c; do
		[ "${2:-}" != programs ] ||
			"${CC:-gcc}" -O2 -static -pthread -o "$1/bin/$(basename "$source" .c)" "$source"
	done
}

# The end of every test.
finish() {
	check 'nothing left behind' nothing_left
	exit $((failures > 0))
}
