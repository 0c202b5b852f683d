# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The user network as anybody has it: a port of the host's loopback leads into the guest.
# as: nobody
. "$TREE/test/system/lib.sh"

lucid --net user -- true
if [ "$status" -eq 125 ]; then
	# Nothing to reach, or no user namespaces for passt.
	skip "no user network here: $(cat "$TMP/err")"
	exit 0
fi
check 'a user network' status_is 0

port=$((20000 + RANDOM % 10000))
# What the guest serves, in full.
get() {
	exec 7<>"/dev/tcp/127.0.0.1/$port" && printf 'GET / HTTP/1.0\r\n\r\n' >&7 &&
		sed '1,/^\r$/d' <&7 >"$TMP/fetched"
	local result=$?
	exec 7>&-
	return "$result"
}
served() {
	get && grep -q hello "$TMP/fetched"
}
"$LUCID" run -p 127.0.0.1:$port:80 -- sh -c 'mkdir /tmp/w; echo hello >/tmp/w/index.html
	httpd -f -p 80 -h /tmp/w' >/dev/null 2>"$TMP/err" </dev/null &
vm=$!
check 'a published port' soon served
lucid -p 127.0.0.1:$port:80 -- true
check 'which is taken now' eval 'status_is 125 && err_has "taken; "'
kill -9 $vm
wait $vm 2>/dev/null
gone() {
	! (exec 7<>"/dev/tcp/127.0.0.1/$port")
}
check 'and free when the machine was killed' soon gone
finish
