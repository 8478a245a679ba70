/* SPDX-License-Identifier: MIT */
/* What the tests of common/net share: a throw-away PKI, a loop that runs
 * until a condition, and two channels that talk over loopback. */
#ifndef TESTS_UNIT_NET_FIXTURE_H
#define TESTS_UNIT_NET_FIXTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/net/channel.h"
#include "common/net/tls_context.h"
#include "common/net/x509.h"

#define CONTROLLER_NAME "controller.test"
#define NODE_URI "ocm://node/7"

/* A folder with a CA and what it signed; files are NAME.key, NAME.pem. */
struct pki {
    char dir[64];
    struct buf ca_key, ca_der;
    struct id ca_fingerprint;
};

void pki_make(struct pki *p, const char *ca_name);
void pki_drop(struct pki *p);
/* Sign and write NAME.key and NAME.pem; times relative to now, seconds. */
void pki_issue(struct pki *p, const char *name, enum x509_use use,
               const char *dns_name, const char *uri, int64_t from_s,
               int64_t to_s);
/* The usual pair: "server" and "client". */
void pki_issue_usual(struct pki *p);
char *pki_path(const struct pki *p, const char *name, const char *suffix);
/* A context for `role` with NAME's key, trusting `trust`'s CA. */
struct tls_context *pki_context(const struct pki *p, const struct pki *trust,
                                enum tls_role role, const char *name);

/* Loop turns until *flag, with a limit in wall-clock time: fails the test. */
void loop_until(uv_loop_t *loop, const bool *flag);
void loop_until_int(uv_loop_t *loop, const atomic_int *value, int at_least);
/* Run out all handles and close; asserts that nothing is left. */
void loop_finish(uv_loop_t *loop);

/* Heap in use by this process, with or without a sanitizer. */
size_t heap_bytes(void);

struct pair;

/* One of two channels over loopback. */
struct end {
    struct pair *pair;
    struct channel *ch;
    /* Runs in a worker for every stream that the peer opens; must close `s`
     * and free `first`. NULL: the stream is closed at once. */
    void (*serve)(struct stream *s, Ocm__Envelope *first, void *arg);
    void *serve_arg;
    bool shy; /* does not allow streams */
    bool open, closed;
    int status;
    char why[200];
    int controls;           /* messages on stream 0 */
    char control_text[200]; /* of the last one, when it is an Error */
};

struct pair {
    uv_loop_t loop;
    uv_tcp_t listener;
    struct sockaddr_in addr;
    struct pki *pki;
    struct tls_context *server_ctx, *client_ctx;
    struct end server, client;
    atomic_int workers; /* running now */
};

/* Both ends up and streams allowed. */
void pair_open(struct pair *p, struct pki *pki);
/* Only the server; whoever connects is its client. */
void pair_listen(struct pair *p, struct pki *pki);
/* Run `fn` in a worker on the pair's loop. */
void pair_work(struct pair *p, void (*fn)(void *arg), void *arg);
/* Turns until no worker runs. */
void pair_until_idle(struct pair *p);
/* Close what is open, run everything out. */
void pair_close(struct pair *p);

/* A message to tell apart by its text. */
Ocm__Envelope *log_line(const char *text);

/* Bulk: byte `i` of every stream of test data; a DATA frame of `len` of them
 * from `from` on; `bytes` of them as DATA frames of `piece` bytes. */
uint8_t bulk_byte(uint64_t i);
void bulk_fill(struct buf *b, size_t len, uint64_t from);
int bulk_send(struct stream *s, uint64_t bytes, size_t piece, struct error *e);

#endif
