/* SPDX-License-Identifier: MIT */
/* Sealed files named by the SHA-256 of their bytes: index, snapshots, locks. */
#include "controller/repo/repo_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "common/base/mem.h"

#define OBJECT_ZSTD 2 /* first byte of a compressed plaintext */
#define OBJECT_LEVEL 3

void object_name(const char *folder, const struct id *id,
                 char out[REPO_NAME_MAX + 1])
{
    char hex[ID_HEX_LEN + 1];

    id_hex(id, hex);
    snprintf(out, REPO_NAME_MAX + 1, "%s/%s", folder, hex);
}

int object_save(struct repo *r, const char *folder, const void *p, size_t len,
                struct id *id, struct error *e)
{
    struct buf plain = {0}, sealed = {0};
    char name[REPO_NAME_MAX + 1];
    size_t n;
    int rc;

    if (r->version >= 2) {
        buf_add_byte(&plain, OBJECT_ZSTD);
        n = ZSTD_compressBound(len);
        n = ZSTD_compress(buf_reserve(&plain, n), n, p, len, OBJECT_LEVEL);
        if (ZSTD_isError(n)) {
            buf_free(&plain);
            return error_set(e, OCM_E_FAILED, "cannot compress: %s",
                             ZSTD_getErrorName(n));
        }
        plain.len += n;
        seal_add(&r->seal, &sealed, plain.data, plain.len);
    } else {
        seal_add(&r->seal, &sealed, p, len);
    }
    *id = digest_of(sealed.data, sealed.len);
    object_name(folder, id, name);
    rc = store_put(r->store, name, sealed.data, sealed.len, e);
    buf_wipe(&plain);
    buf_free(&sealed);
    return rc;
}

/* Streaming, because frames need not say how long their content is. */
static int decompress(const uint8_t *p, size_t len, size_t max,
                      struct buf *plain)
{
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    ZSTD_inBuffer in = {p, len, 0};
    size_t left = 1;
    int rc = 0;

    if (!ctx)
        abort();
    while (rc == 0 && (in.pos < in.size || left > 0)) {
        size_t step = ZSTD_DStreamOutSize();
        ZSTD_outBuffer out = {buf_reserve(plain, step), step, 0};

        left = ZSTD_decompressStream(ctx, &out, &in);
        plain->len += out.pos;
        if (ZSTD_isError(left) || plain->len > max ||
            (in.pos == in.size && left > 0 && out.pos < out.size))
            rc = OCM_E_DAMAGED;
    }
    ZSTD_freeDCtx(ctx);
    return rc;
}

int object_load(struct repo *r, const char *folder, const struct id *id,
                size_t max, struct buf *plain, struct error *e)
{
    char name[REPO_NAME_MAX + 1];
    struct buf sealed = {0};
    struct id found;
    uint8_t *body;
    size_t len;
    int rc;

    object_name(folder, id, name);
    rc = store_get(r->store, name, max, &sealed, e);
    if (rc < 0)
        goto out;
    found = digest_of(sealed.data, sealed.len);
    if (!id_equal(&found, id) || seal_open(&r->seal, sealed.data, sealed.len)) {
        rc = error_set(e, OCM_E_DAMAGED,
                       "%s/%s is damaged: its bytes are not those that were "
                       "written",
                       store_place(r->store), name);
        goto out;
    }
    body = sealed.data + SEAL_NONCE_LEN;
    len = sealed.len - SEAL_OVERHEAD;
    if (len > 0 && body[0] == OBJECT_ZSTD) {
        rc = decompress(body + 1, len - 1, max, plain);
        if (rc < 0)
            error_set(e, rc, "%s/%s does not decompress", store_place(r->store),
                      name);
    } else {
        buf_add(plain, body, len);
    }
out:
    buf_free(&sealed);
    return rc;
}

struct id_list {
    struct id *ids;
    size_t count, cap;
};

static int on_name(void *arg, const char *name)
{
    struct id_list *l = arg;

    l->ids = mem_grow(l->ids, &l->cap, l->count + 1, sizeof(*l->ids));
    if (id_parse(name, &l->ids[l->count]))
        l->count++;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return id_compare(a, b);
}

int object_list(struct repo *r, const char *folder, struct id **ids,
                size_t *count, struct error *e)
{
    struct id_list l = {0};
    int rc = store_list(r->store, folder, strcmp(folder, "data") == 0, on_name,
                        &l, e);

    if (rc < 0) {
        free(l.ids);
        l = (struct id_list){0};
    }
    if (l.count)
        qsort(l.ids, l.count, sizeof(*l.ids), by_id);
    *ids = l.ids;
    *count = l.count;
    return rc;
}
