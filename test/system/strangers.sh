# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Other users of the host are kept out of a machine: by modes, and where these are opened, by who
# asks. Needs root, to be several users.
. "$TREE/test/system/lib.sh"

if [ "$(id -u)" -ne 0 ] || ! setpriv --reuid=1 --regid=1 --clear-groups true 2>/dev/null; then
	skip 'other users: only root can be them'
	exit 0
fi

# as UID COMMAND...: with that user's own runtime directory.
as() {
	local uid=$1
	shift
	run setpriv --reuid="$uid" --regid="$uid" --clear-groups env XDG_RUNTIME_DIR="$TMP/run-54321" \
		XDG_STATE_HOME="$TMP/state-54321" "$@" </dev/null
}
owner=54321 stranger=54322
chmod 755 "$TMP" "$TMP/.." "$TMP/../.."
install -d -m 700 -o $owner "$TMP/run-$owner" "$TMP/state-$owner"
place=$TMP/run-$owner/lucid/box

as $owner "$LUCID" run --detach --net none --memory 64M --name box -- sleep 1000
check 'a machine of some user' both 0 box
as $owner "$LUCID" exec --no-stdin box id -u
check 'who may enter it' both 0 0

# ---- Modes ---------------------------------------------------------------------------
for folder in "$TMP/run-$owner/lucid" "$place"; do
	check "$(basename "$folder") is for its user alone" [ "$(stat -c '%a %u' "$folder")" = "700 $owner" ]
done
for file in control vsock lock info; do
	check "$file too" [ "$(stat -c '%a %u' "$place/$file")" = "600 $owner" ]
done
check 'and the log' [ "$(stat -c '%a %u' "$TMP/state-$owner/lucid/box.0.log")" = "600 $owner" ]
for verb in 'inspect box' 'kill box' 'exec --no-stdin box true' 'logs box'; do
	# shellcheck disable=SC2086
	as $stranger "$LUCID" $verb
	check "$verb by a stranger" eval 'status_is 125 && [ "$(wc -l <"$TMP/err")" -eq 1 ]'
done
as $owner "$LUCID" inspect box
monitor=$(awk '$1 == "pid" { print $2 }' "$TMP/out")
check 'its monitor' test -d "/proc/$monitor"
as $owner ls "/proc/$monitor/fd"
check 'not even its user sees its descriptors' err_has 'Permission denied'
as $owner cat "/proc/$monitor/environ"
check 'or its memory' err_has 'Permission denied'

# ---- Open doors: who asks? ------------------------------------------------------------
# What comes back for a request, as UID: nothing at all is "closed".
ask='import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect(sys.argv[1])
try:
    s.sendall(sys.argv[2].encode())
    print(s.recv(100).decode().split("\r\n")[0].split()[0] or "closed")
except (ConnectionError, IndexError):
    print("closed")'
chmod 777 "$TMP/run-$owner" "$TMP/run-$owner/lucid" "$place" "$place/control" "$place/vsock"
http='GET /v1/machine HTTP/1.1
Host: lucid

'
as $stranger /usr/bin/python3 -c "$ask" "$place/control" "$http"
check 'a stranger at the open control socket' out_is closed
as $stranger /usr/bin/python3 -c "$ask" "$place/vsock" 'CONNECT 1024
'
check 'a stranger at the open vsock socket' out_is closed
for uid in $owner 0; do
	as "$uid" /usr/bin/python3 -c "$ask" "$place/control" "$http"
	check "user $uid is answered" out_is HTTP/1.1
	as "$uid" /usr/bin/python3 -c "$ask" "$place/vsock" 'CONNECT 1024
'
	check "and let in" out_is OK
done
as $owner "$LUCID" ps
check 'a folder that is open to others is not trusted' err_has 'is not yours alone'
chmod 700 "$TMP/run-$owner/lucid"
as $owner "$LUCID" kill box
check 'the end' both 0 ''

# A folder in everybody's /tmp that a stranger has made first.
install -d -m 700 -o $stranger "$TMP/run-$owner/lucid"
as $owner "$LUCID" run --name box -- true
check 'a folder of somebody else is not used' eval 'status_is 125 && [ "$(wc -l <"$TMP/err")" -eq 1 ]'
rm -rf "$TMP/run-$owner" "$TMP/state-$owner"
finish
