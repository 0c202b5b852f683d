# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the processes of a machine have of the host, and have not: descriptors, environment,
# capabilities, memory that others read, limits; with what this host grants, and without it.
# as: nobody
. "$TREE/test/system/lib.sh"

# All but a shared machine's parts, for the processes of which the state is asked below.
start() {
	mkdir -p "$TMP/folder"
	# Or the last one's output would be taken for this one's.
	rm -f "$TMP/out"
	# shellcheck disable=SC2086 # one option, or none
	SECRET_OF_THE_USER=42 "$@" "$LUCID" run $guard --cpus 2 -v "$TMP/folder:/mnt" \
		--net "socket=$TMP/switch" --name boxed -- sh -c 'echo ready; read x; echo end' \
		<"$TMP/in" >"$TMP/out" 2>"$TMP/err" &
	pid=$!
	exec {in}>"$TMP/in"
	soon out_has ready
	check "it starts${1:+ without $what}" out_has ready
}

stop() {
	echo >&$in
	exec {in}>&-
	wait $pid
	status=$?
	check "it ends${what:+ without $what}" both 0 'ready
end'
	[ ! -s "$TMP/err" ] || sed 's/^/# /' "$TMP/err"
	soon nothing_left
}
mkfifo "$TMP/in"
what=
guard=

# Descriptors beyond those that a shell gives: a file, a folder, a socket would be the same.
echo secret >"$TMP/inherited"
exec 5<"$TMP/inherited" 77<"$TMP/inherited" 200<"$TMP/inherited"
start
exec 5<&- 77<&- 200<&-
mapfile -t all < <(lucid_processes)
check 'monitor, switch, server, zygotes and spaces' [ ${#all[@]} -ge 7 ]

# each NAME COMMAND: true of all processes, with their number as the argument
each() {
	local name=$1 bad=''
	shift
	for p in "${all[@]}"; do
		"$@" "$p" || bad+=" $(cat "/proc/$p/comm")"
	done
	[ -z "$bad" ] || echo "#$bad"
	check "$name" [ -z "$bad" ]
}
field() {
	sed -n "s/^$1:[[:space:]]*//p" "/proc/$2/status"
}
not_dumpable() {
	# Its files in /proc are root's then, whoever runs it.
	[ "$(stat -c %u "/proc/$1/environ")" -eq 0 ] &&
		{ [ "$(id -u)" -eq 0 ] || ! cat "/proc/$1/environ" >/dev/null 2>&1; }
}
listed() {
	[ "$(field Seccomp "$1")" = 2 ] && [ "$(field NoNewPrivs "$1")" = 1 ]
}
no_core() {
	grep -qE '^Max core file size +0 +0 ' "/proc/$1/limits"
}
each 'no core dumps' no_core
each 'nobody else reads their memory' not_dumpable
each 'all behind lists, with no new privileges' listed
if [ "$(id -u)" -eq 0 ]; then
	not_inherited() {
		! find "/proc/$1/fd" -lname "$TMP/inherited" | grep -q .
	}
	no_secret() {
		! grep -qa SECRET_OF_THE_USER "/proc/$1/environ"
	}
	few_capabilities() {
		case $(cat "/proc/$1/comm"):$(field CapPrm "$1") in
		lucid:0000000000000020 | lucid-folder:000000000000000b) ;;
		lucid-space:0000000000000000 | lucid-switch:*) ;;
		*) return 1 ;;
		esac
	}
	few_descriptors() {
		[ "$(cat "/proc/$1/comm")" != lucid-space ] || [ "$(find "/proc/$1/fd" -type l |
			wc -l)" -le 7 ]
	}
	each 'no descriptor is inherited' not_inherited
	each 'no environment of the user' no_secret
	each 'capabilities' few_capabilities
	each 'spaces have up to seven descriptors' few_descriptors
fi
space_limits() {
	[ "$(cat "/proc/$1/comm")" != lucid-space ] ||
		{ grep -qE '^Max file size +0 +0 ' "/proc/$1/limits" &&
			grep -qE '^Max open files +[13] +[13] ' "/proc/$1/limits" &&
			! grep -qE '^Max address space +unlimited' "/proc/$1/limits"; }
}
# A space has its limits from its zygote, which is done with its start by now.
each 'limits of spaces' space_limits
stop

guard=--guard-speculation
start
mapfile -t all < <(lucid_processes)
guarded() {
	! grep -qP '^(Speculation_Store_Bypass:\s+(thread )?vulnerable|SpeculationIndirectBranch:.* enabled)' \
		"/proc/$1/status"
}
each 'guarded against speculation' guarded
stop
guard=

# An older host, or one whose container forbids this and that: it works with less behind it.
# (A compiler cache would leave its folder with the machines'.)
if ! env -u XDG_RUNTIME_DIR "${CC:-gcc}" -o "$TMP/deny" "$TREE/test/system/host/deny.c" -lseccomp 2>"$TMP/err"; then
	skip 'a host that grants less: no libseccomp to build with'
	finish
fi
what='Landlock'
start "$TMP/deny" 444=38 445=38 446=38 --
stop
what='namespaces'
start "$TMP/deny" 272=1 165=1 161=1 --
stop
what='CPU timers'
start "$TMP/deny" 222=11 --
stop
finish
