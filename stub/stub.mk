# The stub: freestanding code, linked to its fixed address, embedded into lucid as bytes.

STUB_SRCS := $(wildcard stub/*.c)
STUB_ASMS := stub/entry.S stub/twin_text.S
STUB_PARTS := $(STUB_SRCS:%.c=build/%.o) build/stub/entry.o build/stub/twin_text.o

STUB_CFLAGS := -std=gnu17 -O2 -g -ffreestanding -fno-builtin -fpie -fvisibility=hidden \
	-fno-stack-protector -fcf-protection=none -fomit-frame-pointer -mgeneral-regs-only \
	-mno-red-zone -mfsgsbase -mxsave -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns \
	-Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wno-array-bounds -I. -MMD -MP

build/stub/%.o: stub/%.c
	@mkdir -p $(@D)
	$(CC) $(STUB_CFLAGS) -c -o $@ $<

build/stub/entry.o: stub/entry.S abi/lucid.h abi/space.h
	@mkdir -p $(@D)
	$(CC) -I. -c -o $@ $<

build/stub/twin_text.o: stub/twin_text.S abi/lucid.h abi/space.h
	@mkdir -p $(@D)
	$(CC) -I. -c -o $@ $<

build/stub/stub.elf: $(STUB_PARTS) stub/stub.lds
	$(CC) -nostdlib -static -Wl,--build-id=none -Wl,-T,stub/stub.lds -Wl,-z,noexecstack -o $@ $(STUB_PARTS)

build/stub/stub.bin: build/stub/stub.elf
	objcopy -O binary $< $@

# Symbols stub_image_start, stub_image_end.
build/stub/image.o: build/stub/stub.bin
	printf '.section .rodata\n.globl stub_image_start, stub_image_end\nstub_image_start: .incbin "%s"\nstub_image_end:\n.section .note.GNU-stack,"",@progbits\n' $< | $(CC) -c -x assembler -o $@ -

STUB_OBJ := build/stub/image.o
-include $(STUB_SRCS:%.c=build/%.d)
