/* SPDX-License-Identifier: MIT */
/* A bounded pipe of bytes between the loop and one worker: the worker waits,
 * the loop never does. Either end may break it off. Counted: both ends hold a
 * reference, the last one frees. */
#ifndef CONTROLLER_API_FLOW_H
#define CONTROLLER_API_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/error.h"

#define FLOW_BYTES (1024 * 1024)

struct flow;

/* `wake` is called (on the worker) when the loop's end, which found nothing to
 * do before, has something to do now. */
struct flow *flow_new(void (*wake)(void *arg), void *arg);
struct flow *flow_ref(struct flow *f);
void flow_unref(struct flow *f);

/* ---- worker's end: waits ---- */
/* OCM_E_CANCELLED when the loop's end broke it off. */
int flow_put(struct flow *f, const void *p, size_t len, struct error *e);
/* Bytes, 0 at the end, OCM_E_CANCELLED. */
ssize_t flow_take(struct flow *f, void *p, size_t max, struct error *e);

/* ---- loop's end: never waits ---- */
#define FLOW_WAIT 0
#define FLOW_END (-1)
#define FLOW_FAILED (-2)
ssize_t flow_take_now(struct flow *f, void *p, size_t max);
/* How many bytes were taken, 0 when it is full. */
size_t flow_put_now(struct flow *f, const void *p, size_t len);
/* Is there anything to do after FLOW_WAIT or a full pipe? */
bool flow_ready(struct flow *f);

/* The writer has said all; `rc` < 0: what was said is not whole. */
void flow_end(struct flow *f, int rc);
/* Break off: what waits ends, whatever is inside is dropped. */
void flow_abort(struct flow *f);

#endif
