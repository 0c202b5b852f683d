# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# gcc -O2 of one large file, by the very compiler of the Debian root on both sides: in the
# guest, and natively in a chroot of the same root unpacked. Sourced by bench.sh.

# Runs on either side, with the file on stdin. The first time brings all that the compiler
# reads into the page cache; the second is the figure. What it made goes along.
compile='export PATH=/usr/bin:/bin; cd /tmp && cat >large.c && gcc -O2 -c large.c || exit
begin=$EPOCHREALTIME
gcc -O2 -c large.c || exit
end=$EPOCHREALTIME
echo "gcc_o2 $((${end/./} - ${begin/./}))000 $(cksum <large.o)"'

# The root unpacked beside the figures. It is kept with a note of what image it was, since
# neither the name nor the age of an image says that it is the same.
unpack_debian() {
	local image become=()
	image=$(stat -L -c '%d %i %s %Y' "$debian")
	[ "$(cat "$out/debian.image" 2>/dev/null)" != "$image" ] || return 0
	tell "unpacking the Debian root"
	rm -rf "$out/debian" "$out/debian.image"
	# Without root there are no devices; fakeroot makes files of them.
	[ "$(id -u)" -eq 0 ] || become=(fakeroot --)
	"${become[@]}" fsck.erofs --extract="$out/debian" "$debian" >"$tmp/err" 2>&1 || return
	echo "$image" >"$out/debian.image"
}

gcc_native() {
	local mode=-rm
	[ "$(id -u)" -ne 0 ] || mode=-m
	# Its /tmp is in memory, as the guest's is.
	"${prefix[@]}" unshare "$mode" sh -c \
		'mount -t tmpfs tmpfs "$1/tmp" && exec chroot "$1" /bin/bash -c "$2"' \
		sh "$out/debian" "$compile"
}

gcc_lucid() {
	"${prefix[@]}" "$lucid" run "${options[@]}" --memory 1G --rootfs "$debian" -- \
		/bin/bash -c "$compile"
}

# gcc_part [PART]: where its figures go.
gcc_part() {
	local part=${1:-gcc} round side row value sum object prefix sides=(native lucid)
	if [ ! -e "$debian" ]; then
		tell
		echo "bench: no gcc row without a Debian root; make debian makes it" >&2
		skip+=(gcc_o2)
		return
	fi
	unpack_debian || { failed "unpacking $debian" && return; }
	awk -f bench/source.awk >"$tmp/large.c"
	prefix_of "$part"
	for ((round = 1; round <= rounds; round++)); do
		for side in "${sides[@]}"; do
			tell "$part, gcc -O2, round $round of $rounds: $side"
			row=
			read -r row value sum < <("gcc_$side" <"$tmp/large.c" 2>"$tmp/err") || true
			object=${object:-${sum:-}}
			# The same compiler makes the same of the same file, or something is wrong.
			if [ "$row" != gcc_o2 ]; then
				failed "gcc round $round, $side"
			elif [ "$sum" != "$object" ]; then
				failed "gcc round $round, $side: another object file; comparing"
			else
				figure "$part" "$round" "$side" "$row" "$value"
			fi
		done
		sides=("${sides[1]}" "${sides[0]}")
	done
}
