/* SPDX-License-Identifier: MIT */
#include "common/base/worker.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/base/mem.h"

/* Life: start -> thread runs -> async wakes the loop -> join -> on_done ->
 * handle closed -> free. */
struct worker {
    uv_thread_t thread;
    uv_async_t ended; /* keeps the loop alive while the thread runs */
    worker_fn *run;
    worker_fn *on_done;
    void *arg;
};

#define WORKER_STACK_BYTES (2 * 1024 * 1024)

static void on_closed(uv_handle_t *h)
{
    free(CONTAINER_OF(h, struct worker, ended));
}

static void on_ended(uv_async_t *h)
{
    struct worker *w = CONTAINER_OF(h, struct worker, ended);

    uv_thread_join(&w->thread);
    uv_close((uv_handle_t *)h, on_closed);
    if (w->on_done)
        w->on_done(w->arg);
}

static void thread_main(void *arg)
{
    struct worker *w = arg;

    pthread_setname_np(pthread_self(), "work");
    w->run(w->arg);
    uv_async_send(&w->ended);
}

int worker_start(uv_loop_t *loop, worker_fn *run, worker_fn *on_done, void *arg)
{
    uv_thread_options_t options = {
        .flags = UV_THREAD_HAS_STACK_SIZE,
        .stack_size = WORKER_STACK_BYTES,
    };
    struct worker *w = mem_zalloc(sizeof(*w));
    int rc;

    w->run = run;
    w->on_done = on_done;
    w->arg = arg;
    rc = uv_async_init(loop, &w->ended, on_ended);
    if (rc < 0) {
        free(w);
        return rc;
    }
    rc = uv_thread_create_ex(&w->thread, &options, thread_main, w);
    if (rc < 0)
        uv_close((uv_handle_t *)&w->ended, on_closed);
    return rc;
}
