#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs inside the guest, for `make run` without a terminal: shows what it runs on.
set -eu

read -r up _ </proc/uptime
echo "Hello from a virtual machine."
echo "  kernel    $(uname -srm)"
echo "  platform  $(dmesg | sed -n 's/.*paravirtualized kernel on //p' | head -n 1), paravirtualized"
echo "  vCPUs     $(nproc), $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)"
echo "  memory    $(awk '/MemTotal/ { t = $2 } /MemAvailable/ { a = $2 }
	END { printf "%d MiB, %d MiB of it available", t / 1024, a / 1024 }' /proc/meminfo)"
echo "  root      $(awk '$2 == "/" { print $3 }' /proc/mounts | tail -n 1)"
echo "  booted in $up s, this tour included"
echo "Try: ./lucid run (a shell), ./lucid run -- ls /, ./lucid help run"
