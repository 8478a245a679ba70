/* SPDX-License-Identifier: MIT */
/* A controller without agents: catalog, repository, jobs of test kinds and the
 * API, its loop on a thread of its own; and a plain HTTP client. */
#ifndef TESTS_UNIT_API_API_FIXTURE_H
#define TESTS_UNIT_API_API_FIXTURE_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "common/base/buf.h"
#include "controller/api/api.h"
#include "controller/catalog/catalog.h"
#include "controller/controller_conf.h"
#include "controller/jobs/job.h"
#include "controller/repo/repo.h"

#define FIXTURE_WAIT_MS 20000

struct fixture {
    char dir[64];
    char *second; /* another socket of the API: Host must be "second" */
    struct controller_conf conf;
    struct controller c;
    uv_loop_t loop;
    uv_async_t stop;
    pthread_t thread;
    bool jobs_idle, api_stopped;
};

/* Everything up and listening on f->conf.socket and f->second; asserts on
 * failure. */
struct fixture *fixture_new(void);
void fixture_free(struct fixture *f);

/* ---- the "gate" kind: waits until opened or cancelled ---- */
void gate_open(int count);
void gate_reset(void);
/* Job kinds: "backup", "plan", "migrate", "restore", "verify" end at once and
 * echo their params in the result; "backup" of a node "gate..." waits. */

/* Which node ids count as connected, and what nodes_close was told. */
extern const char *fake_connected;
extern int fake_closed;

/* ---- HTTP ---- */
struct reply {
    int status;
    struct buf head, body; /* body without chunks */
    bool whole;            /* ended as its framing says */
    json_t *json;          /* NULL when it is none */
};
void reply_free(struct reply *r);
int fixture_connect(const struct fixture *f);
/* One request on a connection of its own; `body` NULL: none. */
struct reply http(const struct fixture *f, const char *method,
                  const char *target, const char *body);
struct reply http_bytes(const struct fixture *f, const char *method,
                        const char *target, const char *type, const void *body,
                        size_t len);
/* Send raw bytes, read until the other end closes (or FIXTURE_WAIT_MS). */
void http_raw(const struct fixture *f, const void *p, size_t len,
              struct buf *out);
const char *text_at(const json_t *v, const char *key);
/* Wait until the job has ended; its final state. */
void wait_job(const struct fixture *f, const char *id, char state[16]);

/* ---- archives ---- */
struct tar_item {
    const char *name;
    char type; /* 'f', 'd', 'l' symlink, 'h' hard link, 'p' fifo, 'c' device */
    const char *text; /* content or target */
    size_t size;      /* > 0: that many pseudo-random bytes instead of text */
    unsigned mode;    /* 0: 0600 */
};
/* Write items as tar, filter "gzip", "zstd" or "none". */
void make_tar(const char *path, const char *filter,
              const struct tar_item *items, size_t count);
/* An archive as `openclaw backup create` makes it; version changes some. */
void make_upstream(const char *path, int version);

#endif
