/* SPDX-License-Identifier: MIT */
/* A snapshot from foreign hands, as apply reads it: up to the first NUL byte
 * the input is /meta.json, behind it the tree that each folder shows. What
 * passes keeps the promises of snap.h. */
#include <stdlib.h>
#include <string.h>

#include "agent/apply/snap.h"
#include "common/base/text.h"

#define READS_MAX 300 /* a tree may name itself for ever */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *meta, *tree;
    size_t meta_len, tree_len;
    struct id root, content;
    struct buf top; /* the root's own tree */
    unsigned reads;
};

static int want(void *arg, const struct id *ids, size_t count, struct error *e)
{
    (void)arg;
    (void)ids;
    (void)count;
    (void)e;
    return 0;
}

static int read_blob(void *arg, const struct id *id, enum blob_type type,
                     const uint8_t **p, size_t *len, struct error *e)
{
    struct input *in = arg;

    if (++in->reads > READS_MAX)
        return error_set(e, OCM_E_MISSING, "enough");
    if (type == BLOB_DATA) {
        *p = in->meta;
        *len = in->meta_len;
    } else if (id_equal(id, &in->root) && in->reads <= 1) {
        *p = in->top.data; /* for /meta.json */
        *len = in->top.len;
    } else {
        *p = in->tree;
        *len = in->tree_len;
    }
    return 0;
}

static void make_top(struct input *in)
{
    struct tree_node n = {.name = "meta.json",
                          .name_len = 9,
                          .type = TREE_FILE,
                          .mode = 0600,
                          .user = "",
                          .group = "",
                          .size = in->meta_len,
                          .content = &in->content,
                          .content_count = in->meta_len ? 1 : 0};

    tree_begin(&in->top);
    tree_add(&in->top, &n);
    tree_end(&in->top);
    in->root = digest_of(in->top.data, in->top.len);
}

static void check(const struct snap *s)
{
    struct buf path = {0};

    if (s->section_count > SNAP_MAX_SECTIONS || s->root_count > SNAP_MAX_ROOTS)
        abort();
    for (size_t i = 0; i < s->root_count; i++) {
        if (s->roots[i].path[0] != '/' ||
            s->roots[i].section >= s->section_count)
            abort();
    }
    for (uint32_t i = 1; i < s->count; i++) {
        const struct snap_entry *n = &s->entries[i];

        if (n->parent >= i || n->depth > SNAP_MAX_DEPTH ||
            n->first + (size_t)n->count > s->count)
            abort();
        if (n->type != TREE_FILE && n->type != TREE_DIR &&
            n->type != TREE_SYMLINK)
            abort();
        buf_clear(&path);
        snap_path(s, i, &path);
        if (!path_is_safe(buf_str(&path), path.len) || path.len > SNAP_MAX_PATH)
            abort();
    }
    buf_free(&path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    struct input in = {.meta = data,
                       .meta_len = nul ? (size_t)(nul - data) : size,
                       .tree = nul ? nul + 1 : data,
                       .tree_len = nul ? size - (size_t)(nul - data) - 1 : 0};
    struct apply_source src = {.want = want, .read = read_blob, .arg = &in};
    struct snap s = {0};
    struct plan plan = {0};
    struct error e = {0};

    if (size > 256 * 1024)
        return 0;
    make_top(&in);
    if (snap_load_meta(&s, &src, &in.root, &e) == 0) {
        for (size_t i = 0; i < s.section_count; i++)
            s.sections[i].chosen = true;
        for (size_t i = 0; i < s.root_count; i++)
            s.roots[i].wanted = true;
        if (snap_walk(&s, &src, &in.root, INTENT_CLONE, NULL, &plan, &e) == 0)
            check(&s);
    }
    if (e.code && !e.text[0])
        abort();
    snap_fini(&s);
    plan_fini(&plan);
    buf_free(&in.top);
    return 0;
}
