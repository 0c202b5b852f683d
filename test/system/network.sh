# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Networks: user, published ports, tap, the switch. All within a network namespace of the test's
# own, whose only ways are loopback and taps that end in it.
# timeout: 240
. "$TREE/test/system/lib.sh"

if [ "${IN_NAMESPACE:-}" = "" ] && [ "$(id -u)" -ne 0 ]; then
	skip 'no root: no network namespace'
	exit 0
fi
[ -n "${IN_NAMESPACE:-}" ] || IN_NAMESPACE=1 exec unshare --net bash "$0"

# The host: a tap without anybody behind it has the default route, as an uplink would.
ip link set lo up
ip tuntap add up0 mode tap
ip addr add 10.9.0.1/24 dev up0
ip -6 addr add fd09::1/64 dev up0 nodad
ip -6 addr add fe80::1/64 dev up0 nodad
ip link set up0 up
served=$TMP/served
mkdir "$served"
echo hello >"$served/index.html"
busybox httpd -f -p 8080 -h "$served" &
httpd=$!

lucid --net none -- sh -c 'ls /sys/class/net; cat /etc/resolv.conf'
check 'none: no card' eval 'status_is 0 && ! out_has eth'
lucid -- sh -c 'ls /sys/class/net'
check 'no route: no card, and no error' eval 'status_is 0 && ! out_has eth'
lucid --net user -- true
check 'no route: an error if it was asked for' bad_input

ip route add default via 10.9.0.2
echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range
# With a pause before the end of the input: Debian 12's passt forgets the rest of an answer when
# the guest has closed its half.
get='{ printf "GET / HTTP/1.0\r\n\r\n"; sleep 1; } | nc -w 5'
lucid -- sh -c "$get 10.9.0.1 8080 | tail -n 1"
check 'user by default: a connection to the host' both 0 hello
lucid -- sh -c 'ip -4 addr show eth0 | grep -o "inet [0-9.]*"; ip route | grep -o "default via [0-9.]*"
	cat /etc/resolv.conf; cat /sys/class/net/eth0/mtu'
check 'addresses, route and name server' both 0 'inet 10.0.2.15
default via 10.0.2.2
nameserver 10.0.2.3
65520'
lucid -- ping -c 1 -W 5 10.9.0.1
check 'ping' status_is 0
lucid -- sh -c "$get 127.0.0.1 8080; $get 10.0.2.2 8080"
check "the host's loopback stays its own" eval '! out_has hello'

ip -6 route add default via fd09::2
lucid -- sh -c "$get fd09::1 8080 | tail -n 1; ip -6 addr show eth0 | grep -o fd4c[0-9a-f:]*; cat /etc/resolv.conf"
check 'IPv6' both 0 'hello
fd4c:7563:6964::15
nameserver 10.0.2.3
nameserver fd4c:7563:6964::3'
ip -6 route del default via fd09::2

# A megabyte each way arrives whole.
head -c 1000000 /dev/urandom >"$served/random"
lucid -- sh -c '{ printf "GET /random HTTP/1.0\r\n\r\n"; sleep 2; } | nc 10.9.0.1 8080 | tail -c 1000000'
check 'a file from the host' cmp -s "$TMP/out" "$served/random"

# get ADDRESS PORT FILE: over HTTP, into $TMP/fetched without the head.
get() {
	exec 7<>"/dev/tcp/$1/$2" && printf 'GET /%s HTTP/1.0\r\n\r\n' "$3" >&7 &&
		sed '1,/^\r$/d' <&7 >"$TMP/fetched" && [ -s "$TMP/fetched" ]
	local result=$?
	exec 7>&-
	return "$result"
}
serve='mkdir /tmp/w; echo guest >/tmp/w/index.html; dd if=/dev/urandom of=/tmp/w/big bs=1M count=4 2>/dev/null
	httpd -p 80 -h /tmp/w; md5sum </tmp/w/big; read x'
mkfifo "$TMP/stop"
"$LUCID" run -p 127.0.0.1:8123:80 -p 8124:80/tcp -- sh -c "$serve" <"$TMP/stop" >"$TMP/sum" 2>/dev/null &
vm=$!
exec 8>"$TMP/stop"
check 'a published port' soon get 127.0.0.1 8123 index.html
check 'it is the guest who answers' grep -q guest "$TMP/fetched"
check 'on all addresses' get 10.9.0.1 8124 index.html
check 'not where it is not published' eval '! get 10.9.0.1 8123 index.html 2>/dev/null'
check '4 MiB through it' get 127.0.0.1 8123 big
check 'whole' [ "$(md5sum <"$TMP/fetched")" = "$(cat "$TMP/sum")" ]
echo >&8
wait $vm
"$LUCID" run --rootfs "$DEBIAN" -p 127.0.0.1:8125:99/udp -- perl -MIO::Socket::INET -e \
	'$s = IO::Socket::INET->new(LocalPort => 99, Proto => "udp"); $s->recv($x, 99); print $x' \
	>"$TMP/udp" 2>"$TMP/err" </dev/null &
vm=$!
for _ in $(seq 100); do
	echo datagram 2>/dev/null >/dev/udp/127.0.0.1/8125
	sleep 0.1
	[ ! -s "$TMP/udp" ] || break
done
check 'a published UDP port' grep -q datagram "$TMP/udp"
wait $vm

bad() {
	local name=$1
	shift
	lucid "$@" -- true
	check "$name" bad_input
}
bad 'a taken port' -p 8080:80
bad 'a foreign address' -p 192.0.2.77:8081:80
bad 'an unknown interface' --net tap=none0
bad 'an interface that is no tap' --net tap=lo
bad 'a switch in no folder' --net "socket=$TMP/none/socket"
echo file >"$TMP/file"
bad 'a file as switch' --net "socket=$TMP/file"

# passt_of PID: the process id of that machine's passt.
passt_of() {
	local child
	tr ' ' '\n' <"/proc/$1/task/$1/children" | while read -r child; do
		! grep -q '^passt' "/proc/$child/comm" || echo "$child"
	done | grep .
}

# passt starts when the guest first uses a network that nobody asked for by name.
"$LUCID" run -- sh -c 'sleep 2; echo quiet; read x; ping -c 1 -W 5 10.9.0.1; read x' \
	<"$TMP/stop" >"$TMP/out" 2>"$TMP/err" &
vm=$!
exec 8>"$TMP/stop"
soon grep -q quiet "$TMP/out"
check 'no passt for a guest that needs no network' eval '! passt_of $vm'
echo >&8
check 'passt for one that does' eval 'soon passt_of $vm >/dev/null'
check 'and its answer' soon grep -q '1 packets received' "$TMP/out"
echo >&8
wait $vm

# passt that dies: the guest sees it, the machine lives.
"$LUCID" run --net user -- sh -c 'cat /sys/class/net/eth0/carrier; read x
	while [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do sleep 0.1; done; echo down' \
	<"$TMP/stop" >"$TMP/out" 2>"$TMP/err" &
vm=$!
exec 8>"$TMP/stop"
soon grep -q 1 "$TMP/out"
kill -9 "$(passt_of $vm)"
echo >&8
wait $vm
status=$?
check 'a link whose other end dies is down' both 0 '1
down'
check 'and that is said' err_has 'has lost its link'
# And the other way round: a monitor that dies takes its passt along.
"$LUCID" run --net user -- sleep 60 >/dev/null 2>&1 </dev/null &
vm=$!
check 'passt runs' eval 'soon passt_of $vm >/dev/null'
passt=$(passt_of $vm)
kill -9 $vm
wait $vm 2>/dev/null
check 'passt ends with its machine' soon [ ! -e "/proc/$passt" ]

# ---- tap ------------------------------------------------------------------------
ip tuntap add t0 mode tap
ip addr add 10.8.0.1/24 dev t0
ip link set t0 up
lucid --net tap=t0,ip=10.8.0.2/24,gw=10.8.0.1,dns=10.8.0.9 -- sh -c "ping -c 1 -W 5 10.8.0.1 >/dev/null &&
	$get 10.9.0.1 8080 | tail -n 1; cat /etc/resolv.conf"
check 'tap with an address' both 0 'hello
nameserver 10.8.0.9'
printf 'start 10.8.0.50\nend 10.8.0.50\ninterface t0\nlease_file %s\npidfile %s\noption subnet 255.255.255.0
option router 10.8.0.1\noption dns 10.8.0.3\n' "$TMP/leases" "$TMP/udhcpd.pid" >"$TMP/udhcpd.conf"
: >"$TMP/leases"
busybox udhcpd -f "$TMP/udhcpd.conf" 2>/dev/null &
udhcpd=$!
lucid --net tap=t0 -- sh -c "ip -4 addr show eth0 | grep -o 'inet [0-9./]*'; cat /etc/resolv.conf
	$get 10.9.0.1 8080 | tail -n 1"
check 'tap with DHCP' both 0 'inet 10.8.0.50/24
nameserver 10.8.0.3
hello'
kill $udhcpd
"$LUCID" run --net tap=t0,ip=10.8.0.2/24 -- sleep 60 </dev/null >/dev/null 2>&1 &
vm=$!
soon grep -q 1 /sys/class/net/t0/carrier
lucid --net tap=t0 -- true
check 'a tap in use' eval 'status_is 125 && err_has "in use.*; "'
kill $vm
wait $vm

# ---- The switch -------------------------------------------------------------------
# busybox's nc forgets what is to come once its own input has ended.
switch=$TMP/switch
"$LUCID" run --net "socket=$switch,ip=10.1.0.1/24" -- sh -c 'mkfifo /tmp/idle; sleep 100 >/tmp/idle &
	nc -l -p 99 </tmp/idle >/tmp/got; md5sum </tmp/got
	ping -c 1 -W 9 10.1.0.3 >/dev/null && echo third' </dev/null >"$TMP/first" 2>/dev/null &
vm=$!
soon [ -S "$switch" ]
lucid --net "socket=$switch,ip=10.1.0.2/24" -- sh -c 'dd if=/dev/urandom of=/tmp/x bs=1M count=8 2>/dev/null
	md5sum </tmp/x; until nc -w 5 10.1.0.1 99 </tmp/x 2>/dev/null; do sleep 0.1; done'
check 'two machines talk' [ "$(wc -w <"$TMP/out")" = 2 ]
cp "$TMP/out" "$TMP/second"
lucid --net "socket=$switch,ip=10.1.0.3/24" -- sleep 3
wait $vm
check 'what was sent has arrived' [ "$(head -n 1 "$TMP/first")" = "$(cat "$TMP/second")" ]
check 'one that goes is replaced by another' grep -q third "$TMP/first"
check 'the switch goes with the last of them' soon [ ! -e "$switch" ]
# A switch that was killed left its socket; the next machine makes a new one.
"$LUCID" run --net "socket=$switch" -- sh -c 'read x; ip link show eth0; echo alive' <"$TMP/stop" >"$TMP/out" 2>/dev/null &
vm=$!
exec 8>"$TMP/stop"
soon [ -S "$switch" ]
lucid_processes | while read -r pid; do
	! grep -q switch "/proc/$pid/comm" || kill -9 "$pid"
done
lucid --net "socket=$switch,ip=10.1.0.2/24" -- cat /sys/class/net/eth0/carrier
check 'a new switch after one that was killed' both 0 1
echo >&8
wait $vm
status=$?
kill $httpd
finish
