/* SPDX-License-Identifier: MIT */
#include "common/data/blob.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "common/base/mem.h"

#define ZSTREAM_WINDOW_LOG_MAX 26 /* 64 MiB, BLOB_TREE_MAX */

void parcel_add(struct buf *parcel, const struct blob *b)
{
    uint8_t *p = buf_reserve(parcel, PARCEL_HEAD_LEN + b->stored_len);

    memcpy(p, b->id.b, ID_LEN);
    p[32] = (uint8_t)b->type;
    p[33] = (uint8_t)b->encoding;
    write_u16be(p + 34, 0);
    write_u32be(p + 36, b->stored_len);
    write_u32be(p + 40, b->raw_len);
    if (b->stored_len)
        memcpy(p + PARCEL_HEAD_LEN, b->stored, b->stored_len);
    parcel->len += PARCEL_HEAD_LEN + b->stored_len;
}

int parcel_next(const uint8_t *p, size_t len, size_t *off, struct blob *out,
                struct error *e)
{
    const uint8_t *h = p + *off;
    size_t left = len - *off;
    uint32_t max;

    if (left == 0)
        return 0;
    if (left < PARCEL_HEAD_LEN)
        return error_set(e, OCM_E_PROTOCOL, "parcel ends inside a head");
    if (h[32] > BLOB_TREE || h[33] > BLOB_LOST || read_u16be(h + 34) != 0)
        return error_set(e, OCM_E_PROTOCOL,
                         "parcel with unknown type %u or encoding %u", h[32],
                         h[33]);
    memcpy(out->id.b, h, ID_LEN);
    out->type = (enum blob_type)h[32];
    out->encoding = (enum blob_encoding)h[33];
    out->stored_len = read_u32be(h + 36);
    out->raw_len = read_u32be(h + 40);
    out->stored = h + PARCEL_HEAD_LEN;
    max = out->type == BLOB_TREE ? BLOB_TREE_MAX : BLOB_DATA_MAX;
    if (out->raw_len > max || out->stored_len > BLOB_STORED_MAX ||
        (out->encoding == BLOB_PLAIN && out->stored_len != out->raw_len) ||
        (out->encoding == BLOB_LOST && (out->stored_len || out->raw_len)))
        return error_set(e, OCM_E_PROTOCOL,
                         "blob of %u bytes stored as %u is over the limits",
                         out->raw_len, out->stored_len);
    if (out->stored_len > left - PARCEL_HEAD_LEN)
        return error_set(e, OCM_E_PROTOCOL, "parcel ends inside a blob");
    *off += PARCEL_HEAD_LEN + out->stored_len;
    return 1;
}

struct zstream {
    ZSTD_CCtx *c;
    ZSTD_DCtx *d;
    int level;
};

struct zstream *zstream_new(int level)
{
    struct zstream *z = mem_zalloc(sizeof(*z));

    z->level = level;
    return z;
}

void zstream_free(struct zstream *z)
{
    if (!z)
        return;
    ZSTD_freeCCtx(z->c);
    ZSTD_freeDCtx(z->d);
    free(z);
}

void zstream_pack(struct zstream *z, const void *p, size_t len,
                  struct buf *room, struct blob *out)
{
    size_t n;

    if (!z->c)
        z->c = ZSTD_createCCtx();
    buf_clear(room);
    buf_reserve(room, ZSTD_compressBound(len));
    n = z->c ? ZSTD_compressCCtx(z->c, room->data, room->cap, p, len, z->level)
             : (size_t)-1;
    out->raw_len = (uint32_t)len;
    if (!ZSTD_isError(n) && n < len) {
        out->encoding = BLOB_ZSTD;
        out->stored = room->data;
        out->stored_len = (uint32_t)n;
    } else {
        out->encoding = BLOB_PLAIN;
        out->stored = p;
        out->stored_len = (uint32_t)len;
    }
}

int zstream_open(struct zstream *z, const struct blob *b, struct buf *room,
                 const uint8_t **plain, struct error *e)
{
    char hex[ID_HEX_LEN + 1];
    struct id id;
    size_t n;

    if (b->encoding == BLOB_LOST) {
        id_hex(&b->id, hex);
        return error_set(e, OCM_E_DAMAGED,
                         "blob %.12s is missing or damaged in the repository",
                         hex);
    }
    *plain = b->stored;
    if (b->encoding == BLOB_ZSTD) {
        if (!z->d) {
            z->d = ZSTD_createDCtx();
            if (!z->d)
                abort();
            ZSTD_DCtx_setParameter(z->d, ZSTD_d_windowLogMax,
                                   ZSTREAM_WINDOW_LOG_MAX);
        }
        buf_clear(room);
        buf_reserve(room, b->raw_len);
        n = ZSTD_decompressDCtx(z->d, room->data, b->raw_len, b->stored,
                                b->stored_len);
        if (ZSTD_isError(n) || n != b->raw_len) {
            id_hex(&b->id, hex);
            return error_set(
                e, OCM_E_DAMAGED, "blob %.12s does not decompress (%s)", hex,
                ZSTD_isError(n) ? ZSTD_getErrorName(n) : "wrong length");
        }
        room->len = n;
        *plain = room->data;
    }
    id = digest_of(*plain, b->raw_len);
    if (!id_equal(&id, &b->id)) {
        id_hex(&b->id, hex);
        return error_set(e, OCM_E_DAMAGED,
                         "blob %.12s has other content than its id says", hex);
    }
    return 0;
}
