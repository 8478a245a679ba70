/* SPDX-License-Identifier: MIT */
/* Running other programs: bounded in time and output, several at once, in
 * process groups of their own. Blocking: from a worker thread. */
#ifndef COMMON_BASE_PROCESS_H
#define COMMON_BASE_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/error.h"

#define PROCESS_OUTPUT_MAX (8u * 1024 * 1024) /* default of max_output */

/* One program. Zero it, fill the first part, give it to process_run; release
 * the second part with process_job_fini. All pointers are borrowed. */
struct process_job {
    const char *const *argv; /* argv[0]: absolute, or looked up in our PATH */
    const char *const *env;  /* "KEY=value", NULL-ended; NULL: ours */
    const void *input;       /* for its stdin; NULL: /dev/null */
    size_t input_len;
    int64_t timeout_ms; /* required, > 0 */
    size_t max_output;  /* bytes of stdout and of stderr; 0: the default */
    bool detaches; /* it leaves something running: output goes to /dev/null,
                      so that no broken pipe hits what stays behind */

    int rc;        /* 0: ended by itself; OCM_E_TIMEOUT, OCM_E_CANCELLED,
                      OCM_E_LIMIT (too much output), or -errno: not started */
    int exit_code; /* of a normal end; 128 + signal otherwise; -1: none */
    struct buf out, err;
    int64_t took_ms;
};

/* Run all jobs side by side until each has ended. A job over its time or its
 * output is ended with its whole group: TERM, then KILL. What a program left
 * running in the background after its own end is not waited for. Descriptors
 * of ours above 2 are closed in the child. `cancelled`
 * may be NULL. Returns 0, or the first rc that is not 0; every job is filled
 * either way. A non-zero exit code is no error of this function. */
int process_run(struct process_job *jobs, size_t count,
                const atomic_bool *cancelled, struct error *e);
void process_job_fini(struct process_job *job); /* wipes the output */

/* Both outputs in one line for a person, at most `cap` bytes: the last lines
 * of stderr, or of stdout when stderr is empty. */
void process_job_text(struct process_job *job, char *out, size_t cap);

#endif
