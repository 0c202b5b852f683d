# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# PEERS=1: the micro rows on what else runs Linux programs without KVM, from Debian: User-mode
# Linux, gVisor (runsc) and QEMU's TCG. Sourced by bench.sh; needs root, to install them.

peers=()
peer_root=$out/peer-root

# The newest runsc there is: the one of Debian 12 has no systrap platform yet.
install_peers() {
	local package missing=()
	for package in user-mode-linux runsc qemu-system-x86 cpio; do
		dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
	done
	[ ${#missing[@]} -eq 0 ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
		--no-install-recommends "${missing[@]}" >"$tmp/err" 2>&1 || return
	apt-get install -y -q --no-install-recommends -t bookworm-backports runsc >/dev/null 2>&1 || true
}

# A root whose init runs the micro benchmark and ends the machine.
make_peer_root() {
	rm -rf "$peer_root"
	mkdir -p "$peer_root"/{dev,proc,sys,tmp}
	cp "$out/root/micro" "$out/root/busybox" "$peer_root"
	mknod "$peer_root/dev/console" c 5 1 && mknod "$peer_root/dev/null" c 1 3 &&
		mknod "$peer_root/dev/zero" c 1 5 || return
	cat >"$peer_root/init" <<-EOF
		#!/busybox sh
		/busybox mount -t proc proc /proc
		/busybox mount -t tmpfs tmpfs /tmp
		/micro ${rows[*]} 2>/dev/null
		/busybox sync
		/busybox poweroff -f
	EOF
	chmod 755 "$peer_root/init"
	(cd "$peer_root" && find . | cpio --quiet -o -H newc) >"$out/peer.cpio"
}

# Debian's kernel for cloud machines, as QEMU's guest.
fetch_kernel() {
	local package
	[ ! -e "$out/peer-vmlinuz" ] || return 0
	package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-6/ { print $2 }')
	mkdir "$tmp/kernel"
	(cd "$tmp/kernel" && apt-get -q -o APT::Sandbox::User=root download "$package" &&
		dpkg-deb -x ./*.deb .) >"$tmp/err" 2>&1 && cp "$tmp/kernel/boot"/vmlinuz-* "$out/peer-vmlinuz"
}

micro_uml() {
	"${prefix[@]}" linux.uml mem=512M root=/dev/root rootfstype=hostfs "rootflags=$peer_root" rw init=/init \
		quiet con=null con0=null,fd:1 </dev/null | tr -d '\r'
}

runsc_platform=
micro_runsc() {
	"${prefix[@]}" runsc --network=none --ignore-cgroups --platform="$runsc_platform" "do" \
		"$micro" "${rows[@]}"
}

micro_tcg() {
	"${prefix[@]}" qemu-system-x86_64 -accel tcg -cpu max -m 512M -nographic -no-reboot -net none \
		-kernel "$out/peer-vmlinuz" -initrd "$out/peer.cpio" \
		-append 'console=ttyS0 panic=-1 quiet loglevel=1 rdinit=/init' </dev/null | tr -d '\r'
}

# Which of them work here; each has to print one row.
find_peers() {
	local peer prefix rows=(getppid)
	tell "installing the peers"
	if ! install_peers || ! make_peer_root; then
		failed "installing the peers"
		return
	fi
	fetch_kernel || failed "fetching a kernel for QEMU"
	prefix=(timeout --foreground -k 5 120)
	for runsc_platform in systrap ptrace; do
		micro_runsc 2>/dev/null | grep -q '^getppid ' && peers+=(runsc) && break
	done
	for peer in uml tcg; do
		tell "trying $peer"
		if "micro_$peer" 2>/dev/null | grep -q '^getppid '; then
			peers+=("$peer")
		else
			tell
			echo "bench: $peer does not work here" >&2
		fi
	done
	rows=("${wanted_rows[@]}")
	make_peer_root
}
