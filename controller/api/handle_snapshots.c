/* SPDX-License-Identifier: MIT */
/* Snapshots and what is in them. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/api/handlers.h"
#include "controller/api/shapes.h"
#include "controller/jobs/walk.h"

#define SNAPSHOTS_LIMIT 100
#define SNAPSHOTS_LIMIT_MAX 10000
#define FILES_LIMIT 20000
#define META_MAX (4u * 1024 * 1024)
#define REF_LATEST "latest:"

static int resolve(struct controller *c, const char *ref, struct snapshot *out,
                   struct error *e)
{
    struct node n;
    int rc;

    if (!text_has_prefix(ref, REF_LATEST))
        return repo_snapshot_find(c->repo, NULL, ref, out, e);
    rc = catalog_node_get(c->catalog, ref + strlen(REF_LATEST), &n, e);
    if (rc < 0)
        return rc;
    return repo_snapshot_find(c->repo, n.id, "latest", out, e);
}

int find_snapshot(struct request *rq, const char *ref, struct snapshot *out,
                  struct error *e)
{
    struct controller *c = request_controller(rq);
    int rc = resolve(c, ref, out, e);

    /* another program wrote it since our index was looked over */
    if (rc == 0 && !repo_has(c->repo, &out->tree, BLOB_TREE))
        repo_refresh(c->repo, NULL);
    return rc;
}

int query_path(struct request *rq, char **out, struct error *e)
{
    const char *path = request_query(rq, "path");
    size_t len = path ? strlen(path) : 0;

    while (len > 0 && path[len - 1] == '/')
        len--;
    if (len > 0 && !path_is_safe(path, len))
        return error_set(e, OCM_E_INVALID,
                         "'path' must be a path in the snapshot, such as "
                         "config/gateway/openclaw.json");
    *out = mem_strndup(len > 0 ? path : "", len);
    return 0;
}

/* By the id in the tag when the node is known, else by name: backups outlive
 * their node. */
static bool is_of_node(const struct snapshot *s, const char *name,
                       const struct node *n)
{
    const char *id = snapshot_tag(s, "node");

    if (n && id)
        return strcmp(id, n->id) == 0;
    return s->hostname && strcmp(s->hostname, name) == 0;
}

int get_snapshots(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    const char *name = request_query(rq, "node");
    struct snapshot *all;
    struct node n;
    bool known = false;
    json_t *list;
    int64_t limit;
    size_t count;
    int rc = request_number(rq, "limit", SNAPSHOTS_LIMIT, 1,
                            SNAPSHOTS_LIMIT_MAX, &limit, e);

    if (rc < 0)
        return rc;
    known = name && catalog_node_get(c->catalog, name, &n, NULL) == 0;
    rc = repo_snapshots(c->repo, &all, &count, e);
    if (rc < 0 && rc != OCM_E_PARTIAL)
        return rc;
    list = json_array();
    for (size_t i = count; i > 0 && json_array_size(list) < (size_t)limit;
         i--) {
        if (!name || is_of_node(&all[i - 1], name, known ? &n : NULL))
            json_array_append_new(list, shape_snapshot(&all[i - 1]));
    }
    if (name && !known && json_array_size(list) == 0) {
        json_decref(list);
        snapshots_free(all, count);
        return error_set(e, OCM_E_NOTFOUND, "no node '%s' and no backup of it",
                         name);
    }
    snapshots_free(all, count);
    /* Files of the repository that cannot be read cost only themselves, and
     * are named. */
    return request_reply(rq, 200,
                         json_pack("{s:o,s:o}", "snapshots", list, "warning",
                                   rc == OCM_E_PARTIAL && e
                                       ? shape_bytes(e->text, strlen(e->text))
                                       : json_null()));
}

static json_t *read_meta(struct repo *r, const struct snapshot *s)
{
    struct tree holder = {0};
    const struct tree_node *n;
    struct buf b = {0};
    json_t *meta = NULL;

    if (repo_lookup(r, &s->tree, "meta.json", &holder, &n, NULL) == 0) {
        if (repo_read_file(r, n, META_MAX, &b, NULL) == 0)
            meta = json_loadb((const char *)b.data, b.len,
                              JSON_REJECT_DUPLICATES, NULL);
        tree_free(&holder);
    }
    buf_free(&b);
    return meta;
}

static json_int_t sum_of(const json_t *sections, const char *key)
{
    json_int_t sum = 0;
    size_t i;
    json_t *s;

    json_array_foreach(sections, i, s)
    {
        sum += json_integer_value(json_object_get(s, key));
    }
    return sum;
}

int get_snapshot(struct request *rq, struct error *e)
{
    static const char *const keys[] = {"openclaw",     "era",      "agent",
                                       "facts",        "sections", "problems",
                                       "problem_count"};
    struct controller *c = request_controller(rq);
    json_t *snapshot, *meta, *sections;
    struct snapshot s;
    int rc = find_snapshot(rq, request_param(rq, 0), &s, e);

    if (rc < 0)
        return rc;
    snapshot = shape_snapshot(&s);
    meta = read_meta(c->repo, &s);
    json_object_set_new(snapshot, "meta", json_boolean(meta != NULL));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        json_t *v = json_object_get(meta, keys[i]);

        if (v)
            json_object_set(snapshot, keys[i], v);
    }
    sections = json_object_get(meta, "sections");
    json_object_set_new(snapshot, "files",
                        json_integer(sum_of(sections, "files")));
    json_object_set_new(snapshot, "bytes",
                        json_integer(sum_of(sections, "bytes")));
    json_decref(meta);
    snapshot_fini(&s);
    return request_reply(rq, 200, json_pack("{s:o}", "snapshot", snapshot));
}

/* ---- files ---- */

struct listing {
    json_t *entries;
    bool truncated;
};

static int list_entry(void *arg, const char *path, const struct tree_node *n)
{
    struct listing *l = arg;

    if (json_array_size(l->entries) >= FILES_LIMIT) {
        l->truncated = true;
        return WALK_STOP;
    }
    json_array_append_new(l->entries, shape_entry(path, n));
    return 0;
}

int get_files(struct request *rq, struct error *e)
{
    struct repo *r = request_controller(rq)->repo;
    struct listing l = {json_array(), false};
    struct snapshot s = {0};
    char *path = NULL;
    int rc = query_path(rq, &path, e);

    if (rc == 0)
        rc = find_snapshot(rq, request_param(rq, 0), &s, e);
    if (rc == 0) {
        rc = walk_snapshot(r, &s.tree, path, request_flag(rq, "recursive"),
                           list_entry, &l, e);
        if (rc == 0)
            rc = request_reply(rq, 200,
                               json_pack("{s:O,s:b}", "entries", l.entries,
                                         "truncated", l.truncated));
        snapshot_fini(&s);
    }
    json_decref(l.entries);
    free(path);
    return rc;
}

/* A file's content, blob by blob. */
struct content {
    struct repo *r;
    struct id *ids;
    size_t count;
};

static int send_content(void *arg, struct flow *out, struct error *e)
{
    struct content *c = arg;
    struct buf blob = {0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        buf_clear(&blob);
        rc = repo_read(c->r, &c->ids[i], BLOB_DATA, &blob, e);
        if (rc == 0)
            rc = flow_put(out, blob.data, blob.len, e);
    }
    buf_wipe(&blob);
    return rc;
}

static void drop_content(void *arg)
{
    struct content *c = arg;

    free(c->ids);
    free(c);
}

static int open_content(struct request *rq, const struct tree_node *n,
                        const char *path, struct error *e)
{
    const char *slash = strrchr(path, '/');
    struct content *c;

    if (n->type != TREE_FILE)
        return error_set(e, OCM_E_INVALID, "%s is a %s, not a file", path,
                         shape_type(n->type));
    c = mem_zalloc(sizeof(*c));
    c->r = request_controller(rq)->repo;
    c->count = n->content_count;
    c->ids = mem_array(n->content_count + 1, sizeof(*c->ids));
    if (n->content_count > 0)
        memcpy(c->ids, n->content, n->content_count * sizeof(*c->ids));
    return request_stream(rq, "application/octet-stream",
                          slash ? slash + 1 : path, -1, send_content, c,
                          drop_content);
}

int get_file(struct request *rq, struct error *e)
{
    struct repo *r = request_controller(rq)->repo;
    struct tree holder = {0};
    const struct tree_node *n;
    struct snapshot s = {0};
    char *path = NULL;
    int rc = query_path(rq, &path, e);

    if (rc == 0 && !*path)
        rc = error_set(e, OCM_E_INVALID, "'path' is missing");
    if (rc == 0)
        rc = find_snapshot(rq, request_param(rq, 0), &s, e);
    if (rc == 0) {
        if (s.hostname)
            request_about_node(rq, s.hostname);
        rc = repo_lookup(r, &s.tree, path, &holder, &n, e);
        if (rc == 0) {
            rc = open_content(rq, n, path, e);
            tree_free(&holder);
        }
        snapshot_fini(&s);
    }
    free(path);
    return rc;
}
