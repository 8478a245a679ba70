/* SPDX-License-Identifier: MIT */
/* Reading blobs. Packs stay open for a while: a restore asks for the blobs of
 * one pack in order, and the kernel reads ahead on a descriptor that is read
 * in order. */
#include "controller/repo/repo_internal.h"

#include <stdlib.h>

#include "common/base/mem.h"

bool pack_exists(struct repo *r, const struct id *pack)
{
    char name[PACK_NAME_MAX + 1];
    uint64_t size;

    pack_name(pack, name);
    return store_size(r->store, name, &size, NULL) != OCM_E_NOTFOUND;
}

/* A slot for `pack`: the one it has, else the least used idle one; NULL when
 * all are busy. read_mu is held. */
static struct pack_handle *find_slot(struct repo *r, const struct id *pack)
{
    struct pack_handle *best = NULL;

    for (size_t i = 0; i < REPO_HANDLES; i++) {
        struct pack_handle *p = &r->handles[i];

        if (p->h && id_equal(&p->id, pack))
            return p;
        if (p->refs == 0 && (!best || p->used < best->used))
            best = p;
    }
    return best;
}

/* The open pack. *slot is what to give back; NULL: *out is the caller's to
 * close. */
static int handle_take(struct repo *r, const struct id *pack,
                       struct pack_handle **slot, struct store_handle **out,
                       struct error *e)
{
    char name[PACK_NAME_MAX + 1];
    struct pack_handle *p;
    int rc = 0;

    pack_name(pack, name);
    pthread_mutex_lock(&r->read_mu);
    p = find_slot(r, pack);
    if (!p) {
        pthread_mutex_unlock(&r->read_mu);
        *slot = NULL;
        return store_handle_open(r->store, name, out, e);
    }
    if (!p->h || !id_equal(&p->id, pack)) {
        store_handle_close(p->h);
        p->h = NULL;
        rc = store_handle_open(r->store, name, &p->h, e);
        p->id = *pack;
    }
    if (rc == 0) {
        p->refs++;
        p->used = ++r->handle_clock;
        *slot = p;
        *out = p->h;
    }
    pthread_mutex_unlock(&r->read_mu);
    return rc;
}

static void handle_give(struct repo *r, struct pack_handle *slot,
                        struct store_handle *h)
{
    if (!slot) {
        store_handle_close(h);
        return;
    }
    pthread_mutex_lock(&r->read_mu);
    slot->refs--;
    pthread_mutex_unlock(&r->read_mu);
}

struct zstream *zstream_take(struct repo *r)
{
    struct zstream *z = NULL;

    pthread_mutex_lock(&r->read_mu);
    for (size_t i = 0; !z && i < REPO_ZSTREAMS; i++) {
        z = r->zstreams[i];
        r->zstreams[i] = NULL;
    }
    pthread_mutex_unlock(&r->read_mu);
    return z ? z : zstream_new(3);
}

void zstream_give(struct repo *r, struct zstream *z)
{
    pthread_mutex_lock(&r->read_mu);
    for (size_t i = 0; z && i < REPO_ZSTREAMS; i++) {
        if (!r->zstreams[i]) {
            r->zstreams[i] = z;
            z = NULL;
        }
    }
    pthread_mutex_unlock(&r->read_mu);
    zstream_free(z);
}

void read_forget(struct repo *r)
{
    pthread_mutex_lock(&r->read_mu);
    for (size_t i = 0; i < REPO_HANDLES; i++) {
        if (r->handles[i].refs == 0) {
            store_handle_close(r->handles[i].h);
            r->handles[i].h = NULL;
        }
    }
    pthread_mutex_unlock(&r->read_mu);
}

void read_fini(struct repo *r)
{
    for (size_t i = 0; i < REPO_HANDLES; i++)
        store_handle_close(r->handles[i].h);
    for (size_t i = 0; i < REPO_ZSTREAMS; i++)
        zstream_free(r->zstreams[i]);
}

int read_place(struct repo *r, const struct id *id, enum blob_type type,
               const struct blob_place *place, struct buf *room,
               struct blob *out, struct error *e)
{
    uint32_t max = type == BLOB_TREE ? BLOB_TREE_MAX : BLOB_DATA_MAX;
    uint32_t body = place->length - SEAL_OVERHEAD;
    char hex[ID_HEX_LEN + 1], name[PACK_NAME_MAX + 1];
    struct pack_handle *slot = NULL;
    struct store_handle *h = NULL;
    int rc;

    id_hex(id, hex);
    pack_name(&place->pack, name);
    if (place->length < SEAL_OVERHEAD || place->raw > max ||
        body > max + max / 128 + 1024)
        return error_set(e, OCM_E_DAMAGED,
                         "blob %.12s has an impossible length in the index",
                         hex);
    rc = handle_take(r, &place->pack, &slot, &h, e);
    if (rc == OCM_E_NOTFOUND)
        return error_set(e, OCM_E_MISSING, "blob %.12s: its pack %s/%s is gone",
                         hex, store_place(r->store), name);
    if (rc < 0) {
        error_prefix(e, "blob %.12s", hex);
        return rc;
    }
    buf_clear(room);
    buf_reserve(room, place->length);
    rc = store_handle_read(h, room->data, place->length, place->offset, e);
    handle_give(r, slot, h);
    if (rc < 0) {
        error_prefix(e, "blob %.12s", hex);
        return rc;
    }
    room->len = place->length;
    if (seal_open(&r->seal, room->data, room->len) < 0)
        return error_set(e, OCM_E_DAMAGED, "blob %.12s is damaged in %s/%s",
                         hex, store_place(r->store), name);
    *out = (struct blob){
        .id = *id,
        .type = type,
        .encoding = place->raw ? BLOB_ZSTD : BLOB_PLAIN,
        .raw_len = place->raw ? place->raw : body,
        .stored_len = body,
        .stored = room->data + SEAL_NONCE_LEN,
    };
    return 0;
}

bool repo_has(struct repo *r, const struct id *id, enum blob_type type)
{
    struct blob_place place;

    return blob_index_find(r->index, id, type, &place, NULL) == 1;
}

int repo_read_stored(struct repo *r, const struct id *id, enum blob_type type,
                     struct buf *room, struct blob *out, struct error *e)
{
    struct blob_place place;
    char hex[ID_HEX_LEN + 1];
    int rc = blob_index_find(r->index, id, type, &place, e);

    if (rc < 0)
        return rc;
    if (rc == 0) {
        id_hex(id, hex);
        return error_set(e, OCM_E_MISSING,
                         "blob %.12s is not in the repository's index", hex);
    }
    return read_place(r, id, type, &place, room, out, e);
}

int repo_read(struct repo *r, const struct id *id, enum blob_type type,
              struct buf *plain, struct error *e)
{
    struct buf stored = {0}, room = {0};
    const uint8_t *content;
    struct zstream *z;
    struct blob b;
    int rc = repo_read_stored(r, id, type, &stored, &b, e);

    if (rc == 0) {
        z = zstream_take(r);
        rc = zstream_open(z, &b, &room, &content, e);
        zstream_give(r, z);
    }
    if (rc == 0) {
        buf_clear(plain);
        buf_add(plain, content, b.raw_len);
    }
    buf_free(&stored);
    buf_free(&room);
    return rc;
}

int read_tree(struct repo *r, const struct id *id, struct tree *out,
              struct error *e)
{
    struct buf plain = {0};
    char hex[ID_HEX_LEN + 1];
    int rc = repo_read(r, id, BLOB_TREE, &plain, e);

    if (rc == 0) {
        rc = tree_parse(plain.data, plain.len, out, e);
        if (rc < 0) {
            id_hex(id, hex);
            error_prefix(e, "%.12s", hex);
        }
    }
    buf_free(&plain);
    return rc;
}
