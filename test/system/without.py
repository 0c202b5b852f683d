# SPDX-License-Identifier: MIT
"""Runs a command on a host that lacks something: without.py WHAT COMMAND...

WHAT is a system call, which fails with EINVAL as one that the kernel does not know, or "dispatch":
the one option of prctl() that is Syscall User Dispatch."""
import ctypes
import os
import struct
import sys

CALLS = {"dispatch": (157, 59), "pkey_alloc": (330, None), "arch_prctl": (158, 0x1012)}
# Bits of classic BPF, and what seccomp's filters may look at.
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER, ARGUMENT = 0, 16
ALLOW, FAIL = 0x7FFF0000, 0x00050000 | 22


def instruction(code, k, yes=0, no=0):
    return struct.pack("HBBI", code, yes, no, k)


def main():
    number, argument = CALLS[sys.argv[1]]
    rest = [instruction(RETURN, FAIL), instruction(RETURN, ALLOW)]
    if argument is not None:
        rest = [instruction(LOAD, ARGUMENT), instruction(EQUAL, argument, 0, 1), *rest]
    code = [instruction(LOAD, NUMBER), instruction(EQUAL, number, 0, len(rest) - 1), *rest]
    text = ctypes.create_string_buffer(b"".join(code))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    # PR_SET_NO_NEW_PRIVS; PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[2], sys.argv[2:])


main()
