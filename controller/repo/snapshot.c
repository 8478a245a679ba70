/* SPDX-License-Identifier: MIT */
/* Snapshots: the last thing a backup writes, and the roots of all that is
 * kept. */
#include "controller/repo/repo_internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/repo/snapshot_json.h"

void snapshot_fini(struct snapshot *s)
{
    free(s->hostname);
    free(s->username);
    for (size_t i = 0; i < s->path_count; i++)
        free(s->paths[i]);
    free(s->paths);
    for (size_t i = 0; i < s->tag_count; i++)
        free(s->tags[i]);
    free(s->tags);
    free(s->program_version);
    *s = (struct snapshot){0};
}

void snapshots_free(struct snapshot *s, size_t count)
{
    for (size_t i = 0; i < count; i++)
        snapshot_fini(&s[i]);
    free(s);
}

const char *snapshot_tag(const struct snapshot *s, const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < s->tag_count; i++) {
        if (strncmp(s->tags[i], key, len) != 0)
            continue;
        if (s->tags[i][len] == '=')
            return s->tags[i] + len + 1;
        if (s->tags[i][len] == 0)
            return "";
    }
    return NULL;
}

static json_t *text_list(char *const *list, size_t count)
{
    json_t *j = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(j, json_string(list[i]));
    return j;
}

static void set_text(json_t *j, const char *key, const char *value)
{
    if (value && *value)
        json_object_set_new(j, key, json_string(value));
}

char *snapshot_encode(const struct snapshot *s)
{
    char time[CLOCK_TEXT_MAX], tree[ID_HEX_LEN + 1], *text;
    json_t *j = json_object();

    clock_format(s->time_ns, time);
    id_hex(&s->tree, tree);
    json_object_set_new(j, "time", json_string(time));
    json_object_set_new(j, "tree", json_string(tree));
    json_object_set_new(j, "paths", text_list(s->paths, s->path_count));
    set_text(j, "hostname", s->hostname);
    set_text(j, "username", s->username);
    if (s->tag_count)
        json_object_set_new(j, "tags", text_list(s->tags, s->tag_count));
    set_text(j, "program_version", s->program_version);
    text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return text;
}

static char *get_text(const json_t *j, const char *key)
{
    const char *text = json_string_value(json_object_get(j, key));

    return mem_strdup(text ? text : "");
}

static void get_list(const json_t *j, const char *key, char ***out,
                     size_t *count)
{
    const json_t *list = json_object_get(j, key);

    *out = mem_array(json_array_size(list) + 1, sizeof(**out));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));

        if (text)
            (*out)[(*count)++] = mem_strdup(text);
    }
}

int snapshot_decode(const void *p, size_t len, struct snapshot *out,
                    struct error *e)
{
    json_t *j = json_loadb(p, len, JSON_REJECT_DUPLICATES, NULL);
    const char *time = json_string_value(json_object_get(j, "time"));
    const char *tree = json_string_value(json_object_get(j, "tree"));
    int rc = 0;

    *out = (struct snapshot){0};
    if (!time || !clock_parse(time, &out->time_ns) || !tree ||
        !id_parse(tree, &out->tree)) {
        rc = error_set(e, OCM_E_DAMAGED, "not a snapshot: no time, no tree");
    } else {
        out->hostname = get_text(j, "hostname");
        out->username = get_text(j, "username");
        out->program_version = get_text(j, "program_version");
        get_list(j, "paths", &out->paths, &out->path_count);
        get_list(j, "tags", &out->tags, &out->tag_count);
    }
    json_decref(j);
    return rc;
}

/* Under a lock that still holds: a prune that started after it was lost may
 * have taken what this snapshot names. */
int repo_snapshot_save(struct repo *r, struct snapshot *s, struct error *e)
{
    char *text;
    int rc;

    if (r->version < 2)
        return error_set(e, OCM_E_VERSION,
                         "%s is of repository format 1, which is only read",
                         store_place(r->store));
    rc = lock_still_held(r, e);
    if (rc < 0)
        return rc;
    if (s->time_ns == 0)
        s->time_ns = clock_now_ns();
    text = snapshot_encode(s);
    if (!text)
        return error_set(e, OCM_E_INVALID,
                         "a snapshot's names must be UTF-8 text");
    rc = object_save(r, "snapshots", text, strlen(text), &s->id, e);
    free(text);
    return rc;
}

int snapshot_load(struct repo *r, const struct id *id, struct snapshot *out,
                  struct error *e)
{
    struct buf plain = {0};
    char name[REPO_NAME_MAX + 1];
    int rc = object_load(r, "snapshots", id, REPO_SMALL_MAX, &plain, e);

    *out = (struct snapshot){0};
    if (rc == 0) {
        rc = snapshot_decode(plain.data, plain.len, out, e);
        object_name("snapshots", id, name);
        if (rc < 0)
            error_prefix(e, "%s/%s", store_place(r->store), name);
        else
            out->id = *id;
    }
    buf_free(&plain);
    return rc;
}

static int by_time(const void *a, const void *b)
{
    const struct snapshot *x = a, *y = b;

    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return id_compare(&x->id, &y->id);
}

/* As repo_snapshots; *broken (may be NULL) gets the ids that failed. */
static int load_all(struct repo *r, struct snapshot **out, size_t *count,
                    struct id **broken, size_t *broken_count, struct error *e)
{
    struct id *ids;
    size_t n, bad = 0;
    struct error first = {0};
    int rc = object_list(r, "snapshots", &ids, &n, e);

    *out = NULL;
    *count = 0;
    if (rc < 0)
        return rc;
    *out = mem_array(n + 1, sizeof(**out));
    for (size_t i = 0; i < n; i++) {
        struct error why = {0};

        rc = snapshot_load(r, &ids[i], &(*out)[*count], &why);
        if (rc == 0) {
            (*count)++;
        } else if (rc != OCM_E_NOTFOUND) { /* forgotten while we looked */
            if (bad == 0)
                first = why;
            ids[bad++] = ids[i];
        }
    }
    qsort(*out, *count, sizeof(**out), by_time);
    if (broken) {
        *broken = ids;
        *broken_count = bad;
    } else {
        free(ids);
    }
    if (bad)
        return error_set(e, OCM_E_PARTIAL,
                         "%zu of %zu snapshots cannot be "
                         "read: %s",
                         bad, n, first.text);
    return 0;
}

int repo_snapshots(struct repo *r, struct snapshot **out, size_t *count,
                   struct error *e)
{
    return load_all(r, out, count, NULL, NULL, e);
}

static bool fits(const struct id *id, const char *ref, size_t len)
{
    char hex[ID_HEX_LEN + 1];

    id_hex(id, hex);
    return strncasecmp(hex, ref, len) == 0;
}

static bool is_of(const struct snapshot *s, const char *node_id)
{
    const char *tag = snapshot_tag(s, "node");

    return !node_id || (tag && strcmp(tag, node_id) == 0);
}

/* Is `ref` the name of a snapshot that cannot be read? */
static int find_broken(struct repo *r, const char *ref, const struct id *broken,
                       size_t count, struct error *e)
{
    struct snapshot s;

    for (size_t i = 0; i < count; i++) {
        if (fits(&broken[i], ref, strlen(ref)))
            return snapshot_load(r, &broken[i], &s, e);
    }
    return error_set(e, OCM_E_NOTFOUND, "no snapshot '%s'", ref);
}

int repo_snapshot_find(struct repo *r, const char *node_id, const char *ref,
                       struct snapshot *out, struct error *e)
{
    bool latest = strcmp(ref, "latest") == 0;
    struct snapshot *list = NULL, *best = NULL;
    struct id *broken = NULL;
    size_t count = 0, broken_count = 0, found = 0, len = strlen(ref);
    int rc;

    *out = (struct snapshot){0};
    if (len == 0 || len > ID_HEX_LEN)
        return error_set(e, OCM_E_INVALID, "'%s' names no snapshot", ref);
    rc = load_all(r, &list, &count, &broken, &broken_count, e);
    if (rc < 0 && rc != OCM_E_PARTIAL)
        return rc;
    rc = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_of(&list[i], node_id) ||
            (!latest && !fits(&list[i].id, ref, len)))
            continue;
        best = &list[i]; /* the newest so far */
        found++;
    }
    if (!best && latest)
        rc = error_set(e, OCM_E_NOTFOUND,
                       node_id ? "the node has no snapshot"
                               : "there is no snapshot");
    else if (!best)
        rc = find_broken(r, ref, broken, broken_count, e);
    else if (!latest && found > 1)
        rc = error_set(e, OCM_E_INVALID, "'%s' fits %zu snapshots", ref, found);
    if (rc == 0) {
        *out = *best;
        *best = (struct snapshot){0};
        if (e)
            *e = (struct error){0};
    }
    snapshots_free(list, count);
    free(broken);
    return rc;
}
