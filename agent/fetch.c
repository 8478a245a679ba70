/* SPDX-License-Identifier: MIT */
/* want() queues ids; Get goes out in batches of FETCH_BATCH, at most
 * FETCH_AHEAD ids unanswered; read() takes the next blob of the DATA frames,
 * which come in the order asked. */
#include "agent/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define FETCH_BATCH 256
#define FETCH_AHEAD 2048
#define FETCH_TIMEOUT_MS 120000

struct fetch {
    struct stream *stream;
    struct zstream *z;
    struct id *queue; /* announced, not read yet: [read, asked, count) */
    size_t read, asked, count, cap;
    struct stream_item item; /* the DATA frame being read */
    bool have_item;
    size_t off;
    struct buf room; /* plaintext of the last blob */
    uint64_t bytes;
};

struct fetch *fetch_new(struct stream *s)
{
    struct fetch *f = mem_zalloc(sizeof(*f));

    f->stream = s;
    f->z = zstream_new(0);
    return f;
}

void fetch_free(struct fetch *f)
{
    if (!f)
        return;
    if (f->have_item)
        stream_item_free(&f->item);
    zstream_free(f->z);
    buf_wipe(&f->room);
    free(f->queue);
    free(f);
}

uint64_t fetch_bytes(const struct fetch *f)
{
    return f->bytes;
}

static int ask(struct fetch *f, size_t n, struct error *e)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__Get get = OCM__GET__INIT;
    int rc;

    get.ids.data = (uint8_t *)(f->queue + f->asked);
    get.ids.len = n * ID_LEN;
    m.body_case = OCM__ENVELOPE__BODY_GET;
    m.get = &get;
    rc = stream_send(f->stream, &m, e);
    if (rc == 0)
        f->asked += n;
    return rc;
}

/* Keep the pipe full: ask in whole batches while few are unanswered. */
static int fill(struct fetch *f, bool partial_batch, struct error *e)
{
    int rc = 0;

    while (rc == 0 && f->asked < f->count && f->asked - f->read < FETCH_AHEAD) {
        size_t n = f->count - f->asked;

        if (n < FETCH_BATCH && !partial_batch)
            break;
        rc = ask(f, n < FETCH_BATCH ? n : FETCH_BATCH, e);
    }
    return rc;
}

static int want(void *arg, const struct id *ids, size_t count, struct error *e)
{
    struct fetch *f = arg;

    if (f->read == f->count)
        f->read = f->asked = f->count = 0;
    if (f->read > FETCH_AHEAD) {
        memmove(f->queue, f->queue + f->read,
                (f->count - f->read) * sizeof(*f->queue));
        f->asked -= f->read;
        f->count -= f->read;
        f->read = 0;
    }
    f->queue = mem_grow(f->queue, &f->cap, f->count + count, sizeof(*ids));
    memcpy(f->queue + f->count, ids, count * sizeof(*ids));
    f->count += count;
    return fill(f, false, e);
}

static int next_blob(struct fetch *f, struct blob *b, struct error *e)
{
    for (;;) {
        int rc;

        if (f->have_item) {
            rc =
                parcel_next(f->item.data.data, f->item.data.len, &f->off, b, e);
            if (rc != 0)
                return rc < 0 ? rc : 0;
            stream_item_free(&f->item);
            f->have_item = false;
        }
        rc = stream_recv(f->stream, FETCH_TIMEOUT_MS, &f->item, e);
        if (rc < 0)
            return rc;
        f->have_item = f->item.kind == STREAM_DATA;
        f->off = 0;
        if (!f->have_item) {
            stream_item_free(&f->item);
            return error_set(e, OCM_E_PROTOCOL, "blobs expected");
        }
    }
}

static int read_blob(void *arg, const struct id *id, enum blob_type type,
                     const uint8_t **p, size_t *len, struct error *e)
{
    struct fetch *f = arg;
    struct blob b;
    int rc = 0;

    if (f->read == f->count)
        rc = want(f, id, 1, e);
    if (rc == 0 && !id_equal(&f->queue[f->read], id))
        return error_set(e, OCM_E_FAILED, "blobs read out of order");
    if (rc == 0 && f->read == f->asked)
        rc = fill(f, true, e);
    if (rc == 0)
        rc = next_blob(f, &b, e);
    if (rc < 0)
        return rc;
    f->read++;
    f->bytes += b.stored_len;
    rc = fill(f, false, e);
    if (rc < 0)
        return rc;
    if (!id_equal(&b.id, id) || b.type != type)
        return error_set(e, OCM_E_PROTOCOL, "another blob than asked for");
    rc = zstream_open(f->z, &b, &f->room, p, e);
    *len = b.raw_len;
    return rc;
}

struct apply_source fetch_source(struct fetch *f)
{
    return (struct apply_source){.want = want, .read = read_blob, .arg = f};
}
