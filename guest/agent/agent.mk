# SPDX-License-Identifier: MIT
# The agent and the two initramfs archives: build/agent.cpio for every guest, build/default.cpio
# after it for guests without a disk.

AGENT_SRC := $(addprefix guest/agent/,main.c port.c message.c root.c system.c command.c user.c \
	pump.c serve.c exec.c network.c dhcp.c) base/tree.c
AGENT_CFLAGS := -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual \
	-Wsign-compare -Wwrite-strings -Werror -ffunction-sections -fdata-sections \
	-fno-pie -fstack-protector-strong -I.
AGENT_LDFLAGS := -static -s -Wl,--gc-sections -Wl,--build-id=none
BUSYBOX ?= /bin/busybox

# The sanitizers and the like of a test build have no place in the guest: flags of its own.
build/agent: $(AGENT_SRC) guest/agent/agent.h abi/agent.h base/tree.h
	@mkdir -p build
	$(CC) $(AGENT_CFLAGS) $(AGENT_LDFLAGS) -o $@ $(AGENT_SRC)

build/mkcpio: guest/agent/mkcpio.c
	@mkdir -p build
	$(CC) $(CFLAGS) -o $@ $<

build/agent.cpio: build/mkcpio build/agent guest/agent/agent.list
	build/mkcpio guest/agent/agent.list > $@.tmp
	mv $@.tmp $@

build/default.list: guest/agent/default.list $(BUSYBOX)
	cp $< $@.tmp
	echo "file /bin/busybox 0755 $(BUSYBOX)" >> $@.tmp
	$(BUSYBOX) --list-full | LC_ALL=C sort -u | grep -v '^bin/busybox$$' | \
		sed 's|.*|link /& /bin/busybox|' >> $@.tmp
	mv $@.tmp $@

build/default.cpio: build/mkcpio build/default.list $(wildcard guest/agent/default/*)
	build/mkcpio build/default.list > $@.tmp
	mv $@.tmp $@

.PHONY: agent
agent: build/agent.cpio build/default.cpio
