/* SPDX-License-Identifier: MIT */
/* Locking a process of one thread in, for good, before it looks at what
 * strangers made: afterwards it has no network, starts no program, signals
 * nobody, and reaches the files of one folder only. */
#ifndef COMMON_BASE_SANDBOX_H
#define COMMON_BASE_SANDBOX_H

#include <stdint.h>

#include "common/base/error.h"

struct sandbox {
    const char *dir;       /* may be read and written, with all below it */
    uint64_t memory_bytes; /* beyond what is mapped now */
    uint64_t file_bytes;   /* no file of it grows beyond this */
    unsigned cpu_s;
};

/* No new privileges, limits, Landlock where the kernel has it
 * (5.13), and a list of system calls; any other looks as if this kernel did
 * not know it. Descriptors that are open stay open. A kernel or a machine
 * without system call filters gets by with the rest. */
int sandbox_enter(const struct sandbox *s, struct error *e);

#endif
