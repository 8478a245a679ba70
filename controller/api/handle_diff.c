/* SPDX-License-Identifier: MIT */
/* Two snapshots against each other: both trees are walked side by side in
 * the order of names, subtrees with equal ids are skipped unread. Files that
 * people can read are then shown by key or by line. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/api/diff.h"
#include "controller/api/handlers.h"
#include "controller/api/shapes.h"
#include "controller/jobs/walk.h"

#define DIFF_MAX_ENTRIES 20000
#define DIFF_MAX_SHOWN 200 /* files whose contents are compared */
#define DIFF_FILE_MAX (1024u * 1024)

struct diff {
    struct repo *r;
    bool stat; /* names only */
    struct buf path;
    json_t *entries;
    json_int_t added, removed, changed, attributes;
    size_t shown;
    bool truncated;
    struct error *e;
};

static json_t *side(const struct tree_node *n)
{
    json_t *v;

    if (!n)
        return json_null();
    v = shape_entry("", n);
    json_object_del(v, "path");
    return v;
}

static bool same_content(const struct tree_node *a, const struct tree_node *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == TREE_SYMLINK)
        return strcmp(a->linktarget, b->linktarget) == 0;
    if (a->type == TREE_DIR)
        return id_equal(&a->subtree, &b->subtree);
    return a->size == b->size && a->content_count == b->content_count &&
           (a->content_count == 0 ||
            memcmp(a->content, b->content,
                   a->content_count * sizeof(*a->content)) == 0);
}

/* ---- contents ---- */

static bool is_readable(const struct tree_node *n)
{
    return !n || (n->type == TREE_FILE && n->size <= DIFF_FILE_MAX);
}

/* The file as text; false when it is none. */
static bool read_text(struct diff *d, const struct tree_node *n,
                      struct buf *out)
{
    if (!n)
        return true;
    return repo_read_file(d->r, n, DIFF_FILE_MAX, out, NULL) == 0 &&
           utf8_is_valid(out->data, out->len);
}

/* Logins are secrets as a whole; what changed in them is nobody's to see. */
static bool may_be_shown(const char *path)
{
    return !text_has_prefix(path, "config/credentials/") &&
           strcmp(path, "verify/SHA256SUMS") != 0 &&
           !strstr(path, "auth-profiles") && !strstr(path, "secrets.json") &&
           !text_has_suffix(path, ".pem") && !text_has_suffix(path, ".key");
}

static bool is_json_name(const char *path)
{
    return text_has_suffix(path, ".json") || text_has_suffix(path, ".json5") ||
           strstr(path, ".json.") != NULL;
}

static void show_content(struct diff *d, json_t *entry,
                         const struct tree_node *a, const struct tree_node *b)
{
    const char *path = buf_str(&d->path);
    struct buf ta = {0}, tb = {0};
    json_t *shown = NULL;

    if (d->stat || d->shown >= DIFF_MAX_SHOWN || !may_be_shown(path) ||
        !is_readable(a) || !is_readable(b))
        return;
    d->shown++;
    if (read_text(d, a, &ta) && read_text(d, b, &tb)) {
        if (is_json_name(path) && a && b)
            shown = diff_json(buf_str(&ta), ta.len, buf_str(&tb), tb.len);
        if (shown)
            json_object_set_new(entry, "keys", shown);
        else if ((shown = diff_text(buf_str(&ta), ta.len, buf_str(&tb),
                                    tb.len)) != NULL)
            json_object_set_new(entry, "lines", shown);
    }
    buf_wipe(&ta);
    buf_wipe(&tb);
}

/* ---- entries ---- */

static void report(struct diff *d, const struct tree_node *a,
                   const struct tree_node *b)
{
    const char *change = "attributes";
    json_t *entry;
    bool content = !a || !b || !same_content(a, b);

    if (!a) {
        change = "added";
        d->added++;
    } else if (!b) {
        change = "removed";
        d->removed++;
    } else if (content && a->type != TREE_DIR) {
        change = "changed";
        d->changed++;
    } else {
        d->attributes++;
    }
    if (json_array_size(d->entries) >= DIFF_MAX_ENTRIES) {
        d->truncated = true;
        return;
    }
    entry = json_pack("{s:o,s:s,s:o,s:o}", "path",
                      shape_bytes(buf_str(&d->path), d->path.len), "change",
                      change, "old", side(a), "new", side(b));
    if (content && (!a || a->type == TREE_FILE) && (!b || b->type == TREE_FILE))
        show_content(d, entry, a, b);
    json_array_append_new(d->entries, entry);
}

static int diff_trees(struct diff *d, const struct id *a, const struct id *b,
                      int depth);

static bool same_attributes(const struct tree_node *a,
                            const struct tree_node *b)
{
    /* A folder's time only says that something in it changed. */
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
           (a->type == TREE_DIR || a->mtime_ns == b->mtime_ns);
}

static int diff_nodes(struct diff *d, const struct tree_node *a,
                      const struct tree_node *b, int depth)
{
    const struct tree_node *n = a ? a : b;
    bool both_dirs = a && b && a->type == TREE_DIR && b->type == TREE_DIR;
    size_t before = d->path.len;
    int rc = 0;

    if (before > 0)
        buf_add_byte(&d->path, '/');
    buf_add(&d->path, n->name, n->name_len);
    if (!a || !b || (!both_dirs && !same_content(a, b)) ||
        !same_attributes(a, b))
        report(d, a, b);
    if (both_dirs) {
        if (!id_equal(&a->subtree, &b->subtree))
            rc = diff_trees(d, &a->subtree, &b->subtree, depth + 1);
    } else {
        if (a && a->type == TREE_DIR)
            rc = diff_trees(d, &a->subtree, NULL, depth + 1);
        if (rc == 0 && b && b->type == TREE_DIR)
            rc = diff_trees(d, NULL, &b->subtree, depth + 1);
    }
    d->path.len = before;
    return rc;
}

static int compare_names(const struct tree_node *a, const struct tree_node *b)
{
    size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
    int c = memcmp(a->name, b->name, len);

    return c != 0 ? c
                  : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

static int merge(struct diff *d, const struct tree *a, const struct tree *b,
                 int depth)
{
    size_t i = 0, k = 0;
    int rc = 0;

    while (rc == 0 && (i < a->count || k < b->count) && !d->truncated) {
        int c = i == a->count   ? 1
                : k == b->count ? -1
                                : compare_names(&a->nodes[i], &b->nodes[k]);

        rc = diff_nodes(d, c <= 0 ? &a->nodes[i] : NULL,
                        c >= 0 ? &b->nodes[k] : NULL, depth);
        i += c <= 0;
        k += c >= 0;
    }
    return rc;
}

/* Either may be NULL: then all of the other is new or gone. */
static int diff_trees(struct diff *d, const struct id *a, const struct id *b,
                      int depth)
{
    struct tree ta = {0}, tb = {0};
    int rc = 0;

    if (depth > WALK_MAX_DEPTH)
        return error_set(d->e, OCM_E_LIMIT, "%s: deeper than %d folders",
                         buf_str(&d->path), WALK_MAX_DEPTH);
    if (a)
        rc = walk_read_tree(d->r, a, &ta, d->e);
    if (rc == 0 && b)
        rc = walk_read_tree(d->r, b, &tb, d->e);
    if (rc == 0)
        rc = merge(d, &ta, &tb, depth);
    tree_free(&ta);
    tree_free(&tb);
    return rc;
}

/* ---- the request ---- */

/* The two nodes at `path`; one of them may be missing. */
static int diff_at(struct diff *d, const struct id *a, const struct id *b,
                   const char *path)
{
    struct tree ha = {0}, hb = {0};
    const struct tree_node *na = NULL, *nb = NULL;
    const char *slash = strrchr(path, '/');
    int rc = repo_lookup(d->r, a, path, &ha, &na, d->e);

    if (rc == OCM_E_NOTFOUND)
        na = NULL;
    else if (rc < 0)
        return rc;
    rc = repo_lookup(d->r, b, path, &hb, &nb, d->e);
    if (rc == OCM_E_NOTFOUND && na) {
        nb = NULL;
        rc = 0;
    }
    if (rc == 0) {
        if (slash)
            buf_add(&d->path, path, (size_t)(slash - path));
        rc = diff_nodes(d, na, nb, 0);
    }
    tree_free(&ha);
    tree_free(&hb);
    return rc;
}

int get_diff(struct request *rq, struct error *e)
{
    struct diff d = {
        .r = request_controller(rq)->repo,
        .stat = request_flag(rq, "stat"),
        .e = e,
    };
    struct snapshot a = {0}, b = {0};
    char *path = NULL;
    int rc = query_path(rq, &path, e);

    if (rc == 0)
        rc = find_snapshot(rq, request_param(rq, 0), &a, e);
    if (rc == 0)
        rc = find_snapshot(rq, request_param(rq, 1), &b, e);
    if (rc == 0) {
        d.entries = json_array();
        rc = *path ? diff_at(&d, &a.tree, &b.tree, path)
                   : diff_trees(&d, &a.tree, &b.tree, 0);
    }
    if (rc == 0)
        rc = request_reply(
            rq, 200,
            json_pack("{s:o,s:o,s:O,s:{s:I,s:I,s:I,s:I},s:b}", "old",
                      shape_snapshot(&a), "new", shape_snapshot(&b), "entries",
                      d.entries, "counts", "added", d.added, "removed",
                      d.removed, "changed", d.changed, "attributes",
                      d.attributes, "truncated", d.truncated));
    json_decref(d.entries);
    buf_free(&d.path);
    snapshot_fini(&a);
    snapshot_fini(&b);
    free(path);
    return rc;
}
