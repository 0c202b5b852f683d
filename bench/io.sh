# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The io rows: a folder of the host in the guest, and networks. Sourced by bench.sh.

net=$out/net

# Prints "ROW ns" lines, in a folder with the archive sub.tar and the file large.
# shellcheck disable=SC2016
folder_rows='
	lap() { end=${EPOCHREALTIME/./}; echo "$1" $(((end - begin) * 1000)); }
	cd "$0" && rm -rf x && mkdir x || exit
	begin=${EPOCHREALTIME/./}; tar xf sub.tar -C x && lap folder_tar
	cd x && git init -q . && git add . && git -c user.name=x -c user.email=x commit -qm x && sleep 1.5 || exit
	git status --short >/dev/null
	begin=${EPOCHREALTIME/./}; git status --short >/dev/null && lap folder_git
	cd ..
	begin=${EPOCHREALTIME/./}; dd if=large of=/dev/null bs=1M 2>/dev/null && lap folder_read
	rm -rf x'

folder_native() {
	"${prefix[@]}" bash -c "$folder_rows" "$tmp/folder"
}

folder_lucid() {
	"${prefix[@]}" "$lucid" run "${options[@]}" --net none --memory 1G --rootfs "$debian" \
		-v "$tmp/folder:/mnt" -- bash -c "$folder_rows" /mnt
}

# 1,200 files of the kernel's source, from where the guest kernel was built.
make_folder() {
	local source
	source=$(find "${XDG_CACHE_HOME:-$HOME/.cache}/lucid/kernel" -maxdepth 3 -path '*/src/fs' \
		-printf '%h\n' 2>/dev/null | head -n 1)
	[ -n "$source" ] || { echo 'no source of the kernel in the cache' >"$tmp/err" && return 1; }
	mkdir -p "$tmp/folder"
	(cd "$source" && find fs/ext4 fs/fuse fs/xfs net/ipv4 net/ipv6 kernel lib include/linux \
		-name '*.[ch]' | sort | sed -n '1,1200p' | tar cf "$tmp/folder/sub.tar" -T -) &&
		head -c 256M /dev/urandom >"$tmp/folder/large"
}

# Runs in a network namespace of its own, whose only ways are loopback and a tap.
# shellcheck disable=SC2016
net_rows='
	net=$1 lucid=$2 debian=$3 tmp=$4
	shift 4
	ip link set lo up
	ip tuntap add t0 mode tap && ip addr add 10.8.0.1/24 dev t0 && ip link set t0 up || exit
	ip route add default via 10.8.0.9
	"$net" serve 5000 & trap "kill $!" EXIT
	in_vm() {
		"$lucid" run "${options[@]}" "$@" --rootfs "$debian" -v "$(dirname "$net"):/mnt:ro" -- \
			sh -c "for what in rr bulk; do echo \$what \$(/mnt/net \$what $peer 5000); done" </dev/null
	}
	options=("$@")
	for row in passt tap switch; do echo "native net_${row}_rr $("$net" rr 127.0.0.1 5000)"; done
	peer=10.8.0.1
	in_vm --net user | sed "s/^/lucid net_passt_/"
	in_vm --net tap=t0,ip=10.8.0.2/24 | sed "s/^/lucid net_tap_/"
	"$lucid" run "${options[@]}" --net "socket=$tmp/switch,ip=10.1.0.1/24" --rootfs "$debian" \
		-v "$(dirname "$net"):/mnt:ro" -- /mnt/net serve 5000 </dev/null & first=$!
	peer=10.1.0.1
	in_vm --net "socket=$tmp/switch,ip=10.1.0.2/24" | sed "s/^/lucid net_switch_/"
	kill $first
	wait $first'

io_part() {
	local round side row value prefix
	prefix_of unpinned
	make_folder || { failed "the folder of the io rows" && return; }
	in_turns io folder
	rm -rf "$tmp/folder"
	if [ "$(id -u)" -ne 0 ]; then
		tell
		echo "bench: no net rows: they need root, for a network namespace" >&2
		skip+=(net_passt_rr net_passt_bulk net_tap_rr net_tap_bulk net_switch_rr net_switch_bulk)
		return
	fi
	for ((round = 1; round <= rounds; round++)); do
		tell "io, round $round of $rounds: networks"
		while read -r side row value; do
			[ -z "$value" ] || figure io "$round" "$side" "$row" "$value"
		done < <("${prefix[@]}" unshare --net bash -c "$net_rows" bash \
			"$net" "$lucid" "$debian" "$tmp" "${options[@]}" </dev/null 2>"$tmp/err" || true)
	done
}
