/* SPDX-License-Identifier: MIT */
/* /meta.json of a snapshot: sections, roots, facts, era. */
#include "agent/apply/snap.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

#define META_FORMAT 1

static const char *const era_names[] = {
    [ERA_NONE] = "none",     [ERA_FILES] = "files", [ERA_MIXED] = "mixed",
    [ERA_SQLITE] = "sqlite", [ERA_YAML] = "yaml",
};

static int bad(struct error *e, const char *what)
{
    return error_set(e, OCM_E_DAMAGED, "meta.json of the backup: %s", what);
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* "config/<section>..." or "data/<section>...", plain names only. */
static bool at_is_valid(const char *at, const struct snap_section *s)
{
    size_t area = strlen(s->area), name = strlen(s->name);

    return path_is_safe(at, strlen(at)) && strlen(at) <= SNAP_MAX_PATH &&
           strncmp(at, s->area, area) == 0 && at[area] == '/' &&
           strncmp(at + area + 1, s->name, name) == 0 &&
           (at[area + 1 + name] == 0 || at[area + 1 + name] == '/');
}

static int add_root(struct snap *s, size_t section, const json_t *j,
                    struct error *e)
{
    const char *at = text_of(j, "at"), *path = text_of(j, "path");
    struct snap_root *r;
    char *clean;

    if (!at || !path || !at_is_valid(at, &s->sections[section]))
        return bad(e, "a root of a section is not valid");
    for (size_t i = 0; i < s->root_count; i++)
        if (strcmp(s->roots[i].at, at) == 0)
            return bad(e, "two roots stand at one place");
    clean = path_clean(path);
    if (!clean || strlen(clean) > SNAP_MAX_PATH ||
        s->root_count >= SNAP_MAX_ROOTS) {
        free(clean);
        return bad(e, "a root's path is not valid");
    }
    s->roots =
        mem_grow(s->roots, &s->root_cap, s->root_count + 1, sizeof(*s->roots));
    r = &s->roots[s->root_count++];
    *r = (struct snap_root){.at = mem_strdup(at),
                            .path = clean,
                            .section = section,
                            .entry = SNAP_NONE};
    return 0;
}

static int add_section(struct snap *s, const json_t *j, struct error *e)
{
    const char *name = text_of(j, "name"), *area = text_of(j, "area");
    const char *state = text_of(j, "state");
    const json_t *roots = json_object_get(j, "roots");
    struct snap_section *section;
    int rc = 0;

    if (!name || !name_is_valid(name) || strlen(name) >= sizeof(section->name))
        return bad(e, "a section has no valid name");
    if (!area || (strcmp(area, "config") != 0 && strcmp(area, "data") != 0))
        return bad(e, "a section is in no known area");
    if (!state || strlen(state) >= sizeof(section->state))
        return bad(e, "a section has no state");
    for (size_t i = 0; i < s->section_count; i++)
        if (strcmp(s->sections[i].name, name) == 0)
            return bad(e, "a section stands there twice");
    s->sections = mem_grow(s->sections, &s->section_cap, s->section_count + 1,
                           sizeof(*s->sections));
    section = &s->sections[s->section_count++];
    *section = (struct snap_section){.def = section_find(name)};
    memcpy(section->name, name, strlen(name) + 1);
    memcpy(section->area, area, strlen(area) + 1);
    memcpy(section->state, state, strlen(state) + 1);
    for (size_t i = 0; rc == 0 && i < json_array_size(roots); i++)
        rc = add_root(s, s->section_count - 1, json_array_get(roots, i), e);
    return rc;
}

static int parse(struct snap *s, const json_t *root, struct error *e)
{
    const json_t *format = json_object_get(root, "format");
    const json_t *sections = json_object_get(root, "sections");
    const char *era = text_of(root, "era");
    char *facts;
    int rc = 0;

    if (!json_is_integer(format))
        return bad(e, "it names no format");
    if (json_integer_value(format) != META_FORMAT)
        return error_set(e, OCM_E_VERSION,
                         "the backup has format %lld, this agent knows %d: "
                         "update the agent",
                         (long long)json_integer_value(format), META_FORMAT);
    if (!json_is_array(sections) ||
        json_array_size(sections) > SNAP_MAX_SECTIONS)
        return bad(e, "it has no list of sections");
    s->era = ERA_NONE;
    for (size_t i = 0; era && i < ARRAY_LEN(era_names); i++)
        if (strcmp(era, era_names[i]) == 0)
            s->era = (enum openclaw_era)i;
    for (size_t i = 0; rc == 0 && i < json_array_size(sections); i++)
        rc = add_section(s, json_array_get(sections, i), e);
    if (rc < 0)
        return rc;
    facts = json_dumps(json_object_get(root, "facts"), JSON_COMPACT);
    if (!facts)
        return bad(e, "it has no facts");
    rc = facts_from_json(facts, strlen(facts), &s->facts, e);
    free(facts);
    return rc;
}

static int read_one(const struct apply_source *src, const struct id *id,
                    enum blob_type type, const uint8_t **p, size_t *len,
                    struct error *e)
{
    int rc = src->want(src->arg, id, 1, e);

    return rc < 0 ? rc : src->read(src->arg, id, type, p, len, e);
}

int snap_load_meta(struct snap *s, const struct apply_source *src,
                   const struct id *root, struct error *e)
{
    const struct tree_node *node;
    struct tree tree = {0};
    struct buf text = {0};
    json_error_t je;
    json_t *json;
    const uint8_t *p;
    size_t len;
    int rc = read_one(src, root, BLOB_TREE, &p, &len, e);

    if (rc == 0)
        rc = tree_parse(p, len, &tree, e);
    if (rc < 0)
        return rc;
    node = tree_find(&tree, "meta.json", 9);
    if (!node || node->type != TREE_FILE || node->size > SNAP_MAX_META)
        rc = error_set(e, OCM_E_INVALID,
                       "this snapshot is no backup of a node: it has no "
                       "meta.json");
    for (size_t i = 0; rc == 0 && i < node->content_count; i++) {
        rc = read_one(src, &node->content[i], BLOB_DATA, &p, &len, e);
        if (rc == 0 && text.len + len > SNAP_MAX_META)
            rc = bad(e, "it is too large");
        if (rc == 0)
            buf_add(&text, p, len);
    }
    tree_free(&tree);
    if (rc == 0) {
        json = json_loadb((char *)text.data, text.len, JSON_REJECT_DUPLICATES,
                          &je);
        rc = json ? parse(s, json, e) : bad(e, je.text);
        json_decref(json);
    }
    buf_free(&text);
    return rc;
}
