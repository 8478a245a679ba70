/* SPDX-License-Identifier: MIT */
/* One request, as its handler sees it, and the ways to answer. */
#ifndef CONTROLLER_API_REQUEST_H
#define CONTROLLER_API_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/data/digest.h"
#include "controller/api/flow.h"
#include "controller/controller.h"

#define REQUEST_MAX_PARAMS 2
#define REQUEST_MAX_QUERY 8
#define REQUEST_VALUE_MAX 4097 /* a decoded path of 4096 bytes */
#define API_SCHEMA_VERSION 1

struct request;

enum route_flags {
    ROUTE_ON_LOOP = 1, /* short, or bound to the loop's thread */
    ROUTE_UPLOAD = 2,  /* the body is streamed: request_upload */
    ROUTE_BODY = 4,    /* a JSON object, maybe empty */
};

/* On a worker unless the route is ROUTE_ON_LOOP. Answers by one of the
 * request_ functions and returns 0, or fails with a code and its text, which
 * become the answer. */
typedef int request_handler(struct request *rq, struct error *e);

struct route {
    const char *method;
    const char *path; /* "/api/v1/nodes/{node}" */
    request_handler *handler;
    unsigned flags;
    const char *query; /* names allowed in the query, space between */
    const char *audit; /* what the audit log calls it; NULL: it only reads */
};

extern const struct route route_table[];
extern const size_t route_count;

struct controller *request_controller(struct request *rq);
const char *request_owner(const struct request *rq);
const struct id *request_ca(const struct request *rq);

/* The n-th {part} of the path, decoded. */
const char *request_param(const struct request *rq, size_t n);
/* A value of the query, decoded; NULL when absent. */
const char *request_query(const struct request *rq, const char *name);
/* "1", "true", "yes" or an empty value; false when absent. */
bool request_flag(const struct request *rq, const char *name);
/* A number of the query in [min, max]; `fallback` when absent. */
int request_number(const struct request *rq, const char *name, int64_t fallback,
                   int64_t min, int64_t max, int64_t *out, struct error *e);

/* The JSON body (ROUTE_BODY), an object; borrowed. */
const json_t *request_body(const struct request *rq);
/* OCM_E_INVALID for a key that is not in `names` (space between). */
int request_body_keys(const struct request *rq, const char *names,
                      struct error *e);
/* Typed values of the body; absent leaves *out as it is. */
int request_body_text(const struct request *rq, const char *key, size_t max,
                      const char **out, struct error *e);
int request_body_flag(const struct request *rq, const char *key, bool *out,
                      struct error *e);
/* An array of strings; *out borrowed, NULL when absent. */
int request_body_list(const struct request *rq, const char *key, size_t max,
                      const json_t **out, struct error *e);

/* For the audit log: which node it was about (copied). */
void request_about_node(struct request *rq, const char *node);

/* ---- answers ---- */
/* Takes `body`, an object; schemaVersion is added. */
int request_reply(struct request *rq, int status, json_t *body);
/* Text or bytes as they are (copied). */
int request_reply_bytes(struct request *rq, const char *type, const void *p,
                        size_t len);

/* A long answer, made by `produce` on a worker and handed on as the client
 * takes it; a failure of it cuts the connection, so that nobody takes it for
 * whole. `arg` is given to `drop` at the end, always. `name` is what the
 * download is called (copied); `size` -1: not known. */
typedef int request_produce(void *arg, struct flow *out, struct error *e);
int request_stream(struct request *rq, const char *type, const char *name,
                   int64_t size, request_produce *produce, void *arg,
                   void (*drop)(void *arg));

/* Where an events stream goes on: Last-Event-ID, or ?after=N; else 0. */
int request_after(const struct request *rq, int64_t *after, struct error *e);
/* Events of a job from the one after `after` on, then live ones. */
int request_events(struct request *rq, const char *job, int64_t after);

/* Bytes of a ROUTE_UPLOAD body, as flow_take. */
ssize_t request_upload(struct request *rq, void *p, size_t max,
                       struct error *e);

#endif
