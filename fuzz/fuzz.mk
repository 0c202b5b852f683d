# SPDX-License-Identifier: MIT
# What fuzzes what guests and files can reach (libFuzzer, ASan, UBSan); a new fuzz/fuzz_x.c needs
# no line here. docs/security.md tells what, CONTRIBUTING.md how to run it.

FUZZ_CC := clang
FUZZ_CFLAGS := -std=gnu17 -D_GNU_SOURCE= -I. -Wall -Wextra -Werror \
	-Wno-missing-field-initializers -O1 -g \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
FUZZ_LIBS := -lcmocka -luring -lseccomp -ljansson -lhttp_parser
FUZZ_SRC := $(wildcard base/*.c device/*.c serve/*.c api/*.c) monitor/load.c \
	monitor/image_detect.c monitor/session_proto.c monitor/passt_wait.c \
	monitor/call.c monitor/vcpu.c monitor/memory.c monitor/console_ring.c monitor/pause.c \
	monitor/place.c space/control.c \
	cli/ps.c cli/inspect.c cli/stats.c cli/targets.c cli/table.c \
	test/unit/rig.c fuzz/guest.c fuzz/hosts.c fuzz/sandbox.c fuzz/second_cpu.c
FUZZ_OBJ := $(FUZZ_SRC:%.c=build/fuzz/obj/%.o)
FUZZ_TARGETS := $(patsubst fuzz/%.c,build/fuzz/%,$(wildcard fuzz/fuzz_*.c))
SECONDS ?= 60

fuzz: $(FUZZ_TARGETS)
	@fuzz/run $(SECONDS)

# Says what is missing, where a compiler's message would not.
build/fuzz/runtime: | build/deps-test.mk
	@mkdir -p $(@D)
	@echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' | \
	$(FUZZ_CC) -x c -fsanitize=fuzzer,address,undefined -o $@ - 2>/dev/null || { \
	echo "lucid: $(FUZZ_CC) with its fuzzer runtime is missing; install clang and" \
	"compiler-rt (Debian: libclang-rt-dev)" >&2; exit 1; }

build/fuzz/obj/%.o: %.c build/fuzz/runtime
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

build/fuzz/liblucid.a: $(FUZZ_OBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

build/fuzz/fuzz_%: build/fuzz/obj/fuzz/fuzz_%.o build/fuzz/liblucid.a
	$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(FUZZ_LIBS)

.SECONDARY: $(FUZZ_TARGETS:build/fuzz/%=build/fuzz/obj/fuzz/%.o)

-include $(FUZZ_OBJ:.o=.d) $(FUZZ_TARGETS:build/fuzz/%=build/fuzz/obj/fuzz/%.d)
