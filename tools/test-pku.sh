#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# make test-pku: the test guests on a host with protection keys, which few build machines have:
# QEMU emulates the CPU (no KVM), and Debian's kernels are the host's. Half of the stub runs with
# keys alone, and Linux before 6.12 treats the signal stack in another way (space/zygote.c).
#   tools/test-pku.sh [TEST...]     KERNELS="6.1 6.12": the hosts; LIMIT=120: seconds a test guest
#
# Needs qemu-system-x86, busybox-static, cpio, and apt-get, whose sources have to offer
# linux-image-VERSION*-cloud-amd64; a kernel that they do not offer is passed over.
# Before QEMU 9.1, iret at CPL 3 does not work with SMAP, icebp is no instruction, and addresses
# that are not canonical are ordinary: so no SMAP, and return-far, trap-kernel and trap-user,
# which ask for the rest, are left out.
set -euo pipefail
cd "$(dirname "$0")/.."

read -ra kernels <<<"${KERNELS:-6.1 6.12}"
cache=$PWD/build/test-pku
mkdir -p "$cache"
tmp=$(mktemp -d "${TMPDIR:-/tmp}/lucid-pku-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

# The newest cloud kernel of a series, once: its vmlinuz as build/test-pku/VERSION.
fetch() {
	local package
	[ ! -e "$cache/$1" ] || return 0
	package=$(apt-cache pkgnames "linux-image-$1." |
		grep -E -- '-cloud-amd64(-unsigned)?$' | sort -V | tail -n 1)
	[ -n "$package" ] || return 1
	(cd "$tmp" && apt-get -qq -o APT::Sandbox::User=root download "$package" && dpkg-deb -x "$package"_*.deb "host-$1")
	cp "$tmp/host-$1/boot"/vmlinuz-* "$cache/$1"
}

# copy FILE...: programs with their libraries
copy() {
	local file
	for file in $(ldd "$@" 2>/dev/null | grep -o '/[^ :]*' | sort -u) "$@"; do
		[ -e "$tmp/root$file" ] || install -D "$file" "$tmp/root$file"
	done
}

root=$tmp/root
mkdir -p "$root"/{dev,proc,sys,tmp,tree/build,tree/guest,tree/test}
for tool in bash busybox env setpriv seq tr timeout; do
	copy "$(realpath "$(type -P "$tool")")"
	mkdir -p "$root/bin"
	[ "$tool" = busybox ] || ln -sf "$(realpath "$(type -P "$tool")")" "$root/bin/$tool"
done
# What is not there by now is busybox's.
for tool in $(busybox --list); do
	[ -e "$root/bin/$tool" ] || [ "$tool" = busybox ] ||
		ln -sf "$(realpath "$(type -P busybox)")" "$root/bin/$tool"
done
copy "$PWD/lucid"
mv "$root$PWD/lucid" "$root/tree/lucid"
cp -r build/vmlinux build/agent.cpio build/default.cpio "$root/tree/build"
cp -r --parents build/guest/test/*.elf "$root/tree"
cp -r guest/test "$root/tree/guest"
cp -r test/guest "$root/tree/test"

tests=("$@")
if [ $# -eq 0 ]; then
	for test in guest/test/*/main.c; do
		test=$(basename "${test%/main.c}")
		[[ " return-far trap-kernel trap-user " == *" $test "* ]] || tests+=("$test")
	done
fi
cat >"$root/init" <<END
#!/bin/bash
export PATH=/bin:/usr/bin HOME=/tmp XDG_CACHE_HOME=/tmp
mount -t proc proc /proc; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp; mkdir /dev/shm
mount -t tmpfs shm /dev/shm; chmod 1777 /tmp /dev/shm; ln -s /proc/self/fd /dev/fd
cd /tree; echo
grep -qw ospke /proc/cpuinfo && grep -qw fsgsbase /proc/cpuinfo || echo 'not ok no keys'
for as in root nobody; do
	command=
	[ \$as = root ] || command='setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs'
	[ "\$(\$command ./lucid run -- echo hi)" = hi ] && echo "ok Linux as \$as" || echo "not ok Linux as \$as"
done
LIMIT=${LIMIT:-120} test/guest/run ${tests[*]} && echo 'The end.'
poweroff -f
END
chmod 755 "$root/init"
chmod -R a+rX "$root"
(cd "$root" && find . | cpio --quiet -o -H newc) >"$tmp/initrd"

failed=0
for kernel in "${kernels[@]}"; do
	if ! fetch "$kernel"; then
		echo "skip host Linux $kernel: apt-get has none"
		continue
	fi
	echo "# host Linux $kernel"
	qemu-system-x86_64 -accel tcg -cpu max,smap=off -m 3G -nographic -no-reboot -net none \
		-kernel "$cache/$kernel" -initrd "$tmp/initrd" \
		-append 'console=ttyS0 panic=-1 quiet loglevel=1 mitigations=off' </dev/null |
		tr -d '\r' | tee "$tmp/log" | grep --line-buffered -aE '^(ok|not ok|skip|#) ' || true
	if grep -aq '^not ok' "$tmp/log" || ! grep -aqx 'The end.' "$tmp/log"; then
		failed=1
	fi
done
exit $failed
