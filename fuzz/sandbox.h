/* SPDX-License-Identifier: MIT */
/* A folder for targets that make files, on a file system in memory. */
#ifndef FUZZ_SANDBOX_H
#define FUZZ_SANDBOX_H

/* Makes it, once; what is in it goes with the process. Its path. */
const char *sandbox_open(void);
/* Before each input: no file gets large, without a signal. */
void sandbox_begin(void);
/* After it: takes away all that is in the folder, and aborts if there is anything beside it. */
void sandbox_end(void);

#endif
