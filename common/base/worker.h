/* SPDX-License-Identifier: MIT */
/* A thread of its own for work that blocks (disk, hashing, SQLite, a whole
 * conversation), with its end reported on the loop. libuv's pool is for
 * short work; a backup may take an hour. */
#ifndef COMMON_BASE_WORKER_H
#define COMMON_BASE_WORKER_H

#include <uv.h>

struct worker;

/* `run` is called on the new thread and may touch only what `arg` gives it.
 * `on_done` is called exactly once on the loop, after `run` has returned,
 * never before worker_start returns; the worker is freed after it. */
typedef void worker_fn(void *arg);

/* Loop thread only. 0, or a libuv code when no thread could be made (then
 * `on_done` is never called). `on_done` may be NULL. */
int worker_start(uv_loop_t *loop, worker_fn *run, worker_fn *on_done,
                 void *arg);

#endif
