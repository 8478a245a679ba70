/* SPDX-License-Identifier: MIT */
#include "controller/repo/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/data/json_scan.h"
#include "controller/repo/seal.h"

#define ENTRY_COMPRESSED 2

void pack_name(const struct id *pack, char out[PACK_NAME_MAX + 1])
{
    char hex[ID_HEX_LEN + 1];

    id_hex(pack, hex);
    snprintf(out, PACK_NAME_MAX + 1, "data/%.2s/%s", hex, hex);
}

void pack_header_add(struct buf *out, const struct pack_entry *entry)
{
    buf_add_byte(out, (uint8_t)((unsigned)entry->type |
                                (entry->raw ? ENTRY_COMPRESSED : 0)));
    buf_add_u32le(out, entry->length);
    if (entry->raw)
        buf_add_u32le(out, entry->raw);
    buf_add(out, entry->id.b, ID_LEN);
}

int pack_header_parse(const uint8_t *p, size_t len, uint64_t body_len,
                      struct pack_entry **out, size_t *count, struct error *e)
{
    struct pack_entry *list = NULL;
    size_t n = 0, cap = 0, off = 0;
    uint64_t at = 0;

    while (off < len) {
        struct pack_entry x = {0};
        bool zstd = p[off] & ENTRY_COMPRESSED;
        size_t need = 1 + 4 + (zstd ? 4 : 0) + ID_LEN;

        if (p[off] > (ENTRY_COMPRESSED | 1) || len - off < need)
            goto damaged;
        x.type = (enum blob_type)(p[off] & 1);
        x.length = read_u32le(p + off + 1);
        x.raw = zstd ? read_u32le(p + off + 5) : 0;
        memcpy(x.id.b, p + off + need - ID_LEN, ID_LEN);
        if (x.length < SEAL_OVERHEAD || x.length > body_len - at ||
            at + x.length > UINT32_MAX)
            goto damaged;
        x.offset = (uint32_t)at;
        at += x.length;
        off += need;
        list = mem_grow(list, &cap, n + 1, sizeof(*list));
        list[n++] = x;
    }
    if (at != body_len)
        goto damaged;
    *out = list;
    *count = n;
    return 0;
damaged:
    free(list);
    return error_set(e, OCM_E_DAMAGED, "pack header is broken at entry %zu", n);
}

void index_begin(struct buf *out)
{
    buf_add_str(out, "{\"packs\":[");
}

void index_add_pack(struct buf *out, const struct id *pack,
                    const struct pack_entry *entries, size_t count)
{
    char hex[ID_HEX_LEN + 1];

    id_hex(pack, hex);
    buf_printf(out, "%s{\"id\":\"%s\",\"blobs\":[",
               out->data[out->len - 1] == '[' ? "" : ",", hex);
    for (size_t i = 0; i < count; i++) {
        const struct pack_entry *x = &entries[i];

        id_hex(&x->id, hex);
        buf_printf(out,
                   "%s{\"id\":\"%s\",\"type\":\"%s\",\"offset\":%u,"
                   "\"length\":%u",
                   i ? "," : "", hex, x->type == BLOB_TREE ? "tree" : "data",
                   x->offset, x->length);
        if (x->raw)
            buf_printf(out, ",\"uncompressed_length\":%u", x->raw);
        buf_add_byte(out, '}');
    }
    buf_add_str(out, "]}");
}

void index_end(struct buf *out)
{
    buf_add_str(out, "]}");
}

struct index_parser {
    struct json_scan scan;
    struct buf text;
    struct pack_entry *entries;
    size_t count, cap;
    index_pack_cb *fn;
    void *arg;
    int rc; /* of fn */
};

static struct id take_id(struct index_parser *p)
{
    struct id id = {{0}};

    buf_clear(&p->text);
    scan_string(&p->scan, &p->text);
    if (!id_parse(buf_str(&p->text), &id))
        scan_bad(&p->scan, "an id is not 64 hex digits");
    return id;
}

static uint32_t take_u32(struct index_parser *p)
{
    uint64_t v = scan_u64(&p->scan);

    if (v > UINT32_MAX)
        scan_bad(&p->scan, "number too large");
    return (uint32_t)v;
}

static enum blob_type take_type(struct index_parser *p)
{
    buf_clear(&p->text);
    scan_string(&p->scan, &p->text);
    if (strcmp(buf_str(&p->text), "tree") == 0)
        return BLOB_TREE;
    if (strcmp(buf_str(&p->text), "data") != 0)
        scan_bad(&p->scan, "a blob that is neither data nor tree");
    return BLOB_DATA;
}

static void take_blob(struct index_parser *p)
{
    struct pack_entry x = {0};
    const char *key;
    unsigned seen = 0;

    scan_object(&p->scan);
    while ((key = scan_key(&p->scan)) != NULL) {
        if (strcmp(key, "id") == 0) {
            x.id = take_id(p);
            seen |= 1;
        } else if (strcmp(key, "type") == 0) {
            x.type = take_type(p);
            seen |= 2;
        } else if (strcmp(key, "offset") == 0) {
            x.offset = take_u32(p);
            seen |= 4;
        } else if (strcmp(key, "length") == 0) {
            x.length = take_u32(p);
            seen |= 8;
        } else if (strcmp(key, "uncompressed_length") == 0) {
            x.raw = take_u32(p);
        } else {
            scan_skip(&p->scan);
        }
    }
    if (seen != 15 || x.length < SEAL_OVERHEAD)
        scan_bad(&p->scan, "a blob without id, type, offset or length");
    p->entries =
        mem_grow(p->entries, &p->cap, p->count + 1, sizeof(*p->entries));
    p->entries[p->count++] = x;
}

static void take_pack(struct index_parser *p)
{
    struct id id = {{0}};
    const char *key;
    bool seen = false;

    p->count = 0;
    scan_object(&p->scan);
    while ((key = scan_key(&p->scan)) != NULL) {
        if (strcmp(key, "id") == 0) {
            id = take_id(p);
            seen = true;
        } else if (strcmp(key, "blobs") == 0 && !scan_null(&p->scan)) {
            scan_array(&p->scan);
            while (scan_item(&p->scan))
                take_blob(p);
        } else if (strcmp(key, "blobs") != 0) {
            scan_skip(&p->scan);
        }
    }
    if (!seen)
        scan_bad(&p->scan, "a pack without id");
    if (!p->scan.bad)
        p->rc = p->fn(p->arg, &id, p->entries, p->count);
}

int index_parse(const void *data, size_t len, index_pack_cb *fn, void *arg,
                struct error *e)
{
    struct index_parser p = {.fn = fn, .arg = arg};
    const char *key;
    bool seen = false;
    int rc;

    scan_init(&p.scan, data, len);
    scan_object(&p.scan);
    while (p.rc == 0 && (key = scan_key(&p.scan)) != NULL) {
        if (strcmp(key, "packs") != 0) {
            scan_skip(&p.scan);
            continue;
        }
        seen = true;
        if (scan_null(&p.scan))
            continue;
        scan_array(&p.scan);
        while (p.rc == 0 && scan_item(&p.scan))
            take_pack(&p);
    }
    if (!seen && p.rc == 0)
        scan_bad(&p.scan, "no packs");
    rc = p.rc ? p.rc : scan_end(&p.scan, e);
    buf_free(&p.text);
    free(p.entries);
    return rc;
}
