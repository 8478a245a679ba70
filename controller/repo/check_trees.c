/* SPDX-License-Identifier: MIT */
/* Walking the trees of snapshots for a check, and naming what damage costs. */
#include "controller/repo/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

#define CHECK_DEPTH_MAX 256

void check_line(struct checker *c, bool note, const char *fmt, ...)
{
    struct error line = {0}; /* replaces control characters */
    char text[ERROR_TEXT_MAX];
    va_list ap;

    if (!note)
        c->report->errors++;
    if (c->lines++ >= CHECK_LINES_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    error_set(&line, OCM_E_DAMAGED, "%s", text);
    buf_add_str(&c->report->text, line.text);
    buf_add_byte(&c->report->text, '\n');
}

void check_bad(struct checker *c, const struct id *id, enum blob_type type)
{
    bool fresh;

    id_table_add(&c->bad, id, type, &fresh);
}

int check_step(struct checker *c, struct error *e)
{
    if (c->progress && !c->progress(c->arg, &c->at))
        return error_set(e, OCM_E_CANCELLED, "cancelled");
    return 0;
}

void check_fini(struct checker *c)
{
    id_table_free(&c->seen);
    id_table_free(&c->bad);
    id_table_free(&c->clean);
}

/* A tree by way of c->ix; NULL-safe: false when it is bad, which is noted. */
static bool load_tree(struct checker *c, const struct id *id, struct tree *out)
{
    struct buf stored = {0}, room = {0};
    struct blob_place place;
    struct error why = {0};
    const uint8_t *plain;
    struct zstream *z;
    struct blob b;
    char hex[ID_HEX_LEN + 1];
    int rc = blob_index_find(c->ix, id, BLOB_TREE, &place, &why);

    id_hex(id, hex);
    if (rc == 0)
        rc = error_set(&why, OCM_E_MISSING, "in no index");
    if (rc == 1)
        rc = read_place(c->r, id, BLOB_TREE, &place, &stored, &b, &why);
    if (rc == 0) {
        z = zstream_take(c->r);
        rc = zstream_open(z, &b, &room, &plain, &why);
        zstream_give(c->r, z);
    }
    if (rc == 0)
        rc = tree_parse(plain, b.raw_len, out, &why);
    buf_free(&stored);
    buf_free(&room);
    if (rc == 0)
        return true;
    check_bad(c, id, BLOB_TREE);
    check_line(c, false, "tree %.12s: %s", hex, why.text);
    return false;
}

static void check_content(struct checker *c, const struct tree_node *n)
{
    uint64_t len = 0;
    bool all = true;

    for (size_t i = 0; i < n->content_count; i++) {
        struct blob_place place;
        bool fresh;
        struct id_entry *seen;

        if (blob_index_find(c->ix, &n->content[i], BLOB_DATA, &place, NULL) !=
            1) {
            char hex[ID_HEX_LEN + 1];

            all = false;
            if (id_table_find(&c->bad, &n->content[i], BLOB_DATA))
                continue;
            id_hex(&n->content[i], hex);
            check_bad(c, &n->content[i], BLOB_DATA);
            check_line(c, false, "blob %.12s: in no index", hex);
            continue;
        }
        seen = id_table_add(&c->seen, &n->content[i], BLOB_DATA, &fresh);
        seen->value = place.length;
        len += place.raw ? place.raw : place.length - SEAL_OVERHEAD;
    }
    if (all && len != n->size)
        check_line(c, false, "file '%s' says %llu bytes, its content has %llu",
                   n->name, (unsigned long long)n->size,
                   (unsigned long long)len);
}

int check_trees(struct checker *c, const struct id *root, struct error *e)
{
    struct id *stack = NULL;
    size_t count = 0, cap = 0;
    bool fresh;
    int rc = 0;

    id_table_add(&c->seen, root, BLOB_TREE, &fresh);
    if (!fresh)
        return 0;
    stack = mem_grow(stack, &cap, 1, sizeof(*stack));
    stack[count++] = *root;
    while (rc == 0 && count > 0) {
        struct id id = stack[--count];
        struct tree t;

        if (!load_tree(c, &id, &t))
            continue;
        for (size_t i = 0; i < t.count; i++) {
            const struct tree_node *n = &t.nodes[i];

            if (n->type == TREE_FILE)
                check_content(c, n);
            if (n->type != TREE_DIR)
                continue;
            id_table_add(&c->seen, &n->subtree, BLOB_TREE, &fresh);
            if (fresh) {
                stack = mem_grow(stack, &cap, count + 1, sizeof(*stack));
                stack[count++] = n->subtree;
            }
        }
        tree_free(&t);
        rc = check_step(c, e);
    }
    free(stack);
    return rc;
}

/* Does the content of `n` touch a bad blob? */
static bool is_hurt(const struct checker *c, const struct tree_node *n)
{
    for (size_t i = 0; i < n->content_count; i++) {
        if (id_table_find(&c->bad, &n->content[i], BLOB_DATA))
            return true;
    }
    return n->type == TREE_DIR &&
           id_table_find(&c->bad, &n->subtree, BLOB_TREE);
}

/* True: something below is hurt. Trees without are not walked again. */
static bool name_below(struct checker *c, const char *name, struct buf *path,
                       const struct id *id, int depth)
{
    size_t len = path->len;
    bool hurt = false, fresh;
    struct tree t;

    if (depth > CHECK_DEPTH_MAX || c->lines >= CHECK_LINES_MAX ||
        id_table_find(&c->clean, id, BLOB_TREE) ||
        id_table_find(&c->bad, id, BLOB_TREE) || !load_tree(c, id, &t))
        return false;
    for (size_t i = 0; i < t.count; i++) {
        const struct tree_node *n = &t.nodes[i];

        buf_add_byte(path, '/');
        buf_add(path, n->name, n->name_len);
        if (is_hurt(c, n)) {
            hurt = true;
            check_line(c, true, "%s: %s is affected", name, buf_str(path));
        } else if (n->type == TREE_DIR) {
            hurt |= name_below(c, name, path, &n->subtree, depth + 1);
        }
        path->len = len;
    }
    tree_free(&t);
    if (!hurt)
        id_table_add(&c->clean, id, BLOB_TREE, &fresh);
    return hurt;
}

int check_name_files(struct checker *c, const char *name, const struct id *root,
                     struct error *e)
{
    struct buf path = {0};

    if (c->bad.count == 0)
        return 0;
    if (id_table_find(&c->bad, root, BLOB_TREE))
        check_line(c, true, "%s: / is affected", name);
    name_below(c, name, &path, root, 0);
    buf_free(&path);
    return check_step(c, e);
}
