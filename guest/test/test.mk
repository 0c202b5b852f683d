# SPDX-License-Identifier: MIT
# Test guests: one folder a test, each an image of its own in build/guest/test/.

TEST_GUESTS := $(patsubst guest/test/%/main.c,build/guest/test/%.elf,$(wildcard guest/test/*/main.c))
TEST_LIB := $(patsubst %,build/%.o,$(basename $(wildcard guest/test/lib/*.[cS])))

TEST_CFLAGS := -std=gnu17 -O2 -g -ffreestanding -fno-pic -mcmodel=kernel -mno-red-zone \
	-fno-stack-protector -fcf-protection=none -mgeneral-regs-only -mfsgsbase -fno-asynchronous-unwind-tables \
	-fno-tree-loop-distribute-patterns \
	-Wall -Wextra -Werror -Wstrict-prototypes -Wno-array-bounds -I. -MMD -MP

build/guest/test/%.o: guest/test/%.c
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) -c -o $@ $<

build/guest/test/%.o: guest/test/%.S abi/lucid.h
	@mkdir -p $(@D)
	$(CC) -I. -c -o $@ $<

build/guest/test/%.elf: build/guest/test/%/main.o $(TEST_LIB) guest/test/lib/test.lds
	$(CC) -nostdlib -static -Wl,--build-id=none -Wl,-T,guest/test/lib/test.lds -Wl,-z,noexecstack \
		-Wl,-z,max-page-size=4096 -o $@ $(filter %.o,$^)

.PRECIOUS: build/guest/test/%.o
.PHONY: test-guests
test-guests: $(TEST_GUESTS)

-include $(wildcard build/guest/test/*/*.d)
