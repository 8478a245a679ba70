/* SPDX-License-Identifier: MIT */
/* The swap as lines of the journal, and back. */
#include "agent/apply/swap.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static json_t *attr_json(const struct swap_attr *a)
{
    return json_pack("[I,I,I,I,I]", (json_int_t)a->mode, (json_int_t)a->uid,
                     (json_int_t)a->gid, (json_int_t)a->mtime_s,
                     (json_int_t)a->mtime_ns);
}

static bool attr_of(const json_t *j, struct swap_attr *a)
{
    json_int_t mode, uid, gid, s, ns;

    if (json_unpack((json_t *)(uintptr_t)j, "[I,I,I,I,I]", &mode, &uid, &gid,
                    &s, &ns) < 0)
        return false;
    *a = (struct swap_attr){.mode = (mode_t)mode,
                            .uid = (uid_t)uid,
                            .gid = (gid_t)gid,
                            .mtime_s = s,
                            .mtime_ns = ns};
    return true;
}

int swap_log_begin(struct swap *s, struct error *e)
{
    json_t *stages = json_array();
    char now[CLOCK_TEXT_MAX];
    int rc;

    clock_format(clock_now_ns(), now);
    for (size_t i = 0; i < s->stage_count; i++)
        json_array_append_new(
            stages, json_pack("{s:o,s:o,s:o}", "parent",
                              journal_path(s->stages[i].parent), "dir",
                              journal_path(s->stages[i].dir), "kept",
                              journal_path(s->stages[i].kept)));
    rc = journal_add(s->journal,
                     json_pack("{s:s,s:i,s:o,s:s,s:o,s:o,s:o}", "k", "begin",
                               "version", 1, "job", journal_path(s->job),
                               "time", now, "state", journal_path(s->state_dir),
                               "config", journal_path(s->config_path), "stages",
                               stages),
                     false, e);
    for (size_t i = 0; rc == 0 && i < s->place_count; i++)
        rc = journal_add(s->journal,
                         json_pack("{s:s,s:o,s:o,s:o}", "k", "place", "live",
                                   journal_path(s->places[i].live), "stage",
                                   journal_path(s->places[i].stage), "label",
                                   journal_path(s->places[i].label)),
                         i + 1 == s->place_count, e);
    return rc;
}

int swap_log_mark(struct swap *s, const char *kind, const char *flag,
                  bool value, struct error *e)
{
    json_t *line = json_pack("{s:s}", "k", kind);

    if (flag)
        json_object_set_new(line, flag, json_boolean(value));
    return journal_add(s->journal, line, true, e);
}

int swap_log_index(struct swap *s, const char *kind, size_t index,
                   struct error *e)
{
    return journal_add(
        s->journal, json_pack("{s:s,s:I}", "k", kind, "i", (json_int_t)index),
        true, e);
}

static json_t *op_json(const struct swap_op *op)
{
    json_t *path = journal_path(op->rel), *line = NULL;

    switch (op->kind) {
    case SWAP_ENTRY:
        line = json_pack("{s:s,s:I,s:o,s:b,s:b}", "k", "op", "p",
                         (json_int_t)op->place, "rel", path, "live", op->live,
                         "new", op->fresh);
        if (op->mode)
            json_object_set_new(line, "mode", json_integer(op->mode));
        break;
    case SWAP_ATTR:
        line = json_pack("{s:s,s:I,s:o,s:o}", "k", "attr", "p",
                         (json_int_t)op->place, "rel", path, "before",
                         attr_json(&op->before));
        if (op->set)
            json_object_set_new(line, "after", attr_json(&op->after));
        break;
    case SWAP_RMDIR:
        line = json_pack("{s:s,s:I,s:o}", "k", "rmdir", "p",
                         (json_int_t)op->place, "rel", path);
        break;
    case SWAP_MKDIR:
        line = json_pack("{s:s,s:o}", "k", "mkdir", "rel", path);
        break;
    }
    return line;
}

int swap_log_ops(struct swap *s, size_t first, struct error *e)
{
    int rc = 0;

    for (size_t i = first; rc == 0 && i < s->op_count; i++)
        rc = journal_add(s->journal, op_json(&s->ops[i]), false, e);
    return rc;
}

struct swap_op *swap_add(struct swap *s, struct swap_op op)
{
    s->ops = mem_grow(s->ops, &s->op_cap, s->op_count + 1, sizeof(*s->ops));
    s->ops[s->op_count] = op;
    return &s->ops[s->op_count++];
}

void swap_fini(struct swap *s)
{
    journal_close(s->journal);
    for (size_t i = 0; i < s->stage_count; i++) {
        free(s->stages[i].parent);
        free(s->stages[i].dir);
        free(s->stages[i].kept);
    }
    for (size_t i = 0; i < s->place_count; i++) {
        free(s->places[i].live);
        free(s->places[i].stage);
        free(s->places[i].label);
    }
    for (size_t i = 0; i < s->op_count; i++)
        free(s->ops[i].rel);
    free(s->stages);
    free(s->places);
    free(s->ops);
    free(s->job);
    free(s->state_dir);
    free(s->config_path);
    *s = (struct swap){0};
}

/* ---- reading ---- */

static char *path_in(const json_t *line, const char *key)
{
    return journal_path_of(json_object_get(line, key));
}

static bool read_begin(struct swap *s, const json_t *line)
{
    const json_t *stages = json_object_get(line, "stages");
    bool good = json_integer_value(json_object_get(line, "version")) == 1;

    free(s->job);
    free(s->state_dir);
    free(s->config_path);
    s->job = path_in(line, "job");
    s->state_dir = path_in(line, "state");
    s->config_path = path_in(line, "config");
    for (size_t i = 0; i < json_array_size(stages); i++) {
        const json_t *j = json_array_get(stages, i);
        struct swap_stage *stage;

        s->stages = mem_grow(s->stages, &s->stage_cap, s->stage_count + 1,
                             sizeof(*s->stages));
        stage = &s->stages[s->stage_count++];
        *stage = (struct swap_stage){.parent = path_in(j, "parent"),
                                     .dir = path_in(j, "dir"),
                                     .kept = path_in(j, "kept")};
        good = good && stage->parent && stage->dir && stage->kept;
    }
    return good && s->job && s->state_dir && s->config_path;
}

static bool read_place(struct swap *s, const json_t *line)
{
    struct swap_place *p;

    s->places = mem_grow(s->places, &s->place_cap, s->place_count + 1,
                         sizeof(*s->places));
    p = &s->places[s->place_count++];
    *p = (struct swap_place){.live = path_in(line, "live"),
                             .stage = path_in(line, "stage"),
                             .label = path_in(line, "label")};
    return p->live && p->stage && p->label;
}

static bool read_op(struct swap *s, enum swap_kind kind, const json_t *line)
{
    json_int_t place = json_integer_value(json_object_get(line, "p"));
    const json_t *after = json_object_get(line, "after");
    struct swap_op op = {.kind = kind, .rel = path_in(line, "rel")};

    op.place = (uint32_t)place;
    op.live = json_is_true(json_object_get(line, "live"));
    op.fresh = json_is_true(json_object_get(line, "new"));
    op.mode = (mode_t)json_integer_value(json_object_get(line, "mode"));
    op.set = after != NULL;
    if (!op.rel || place < 0 ||
        (kind != SWAP_MKDIR && (size_t)place >= s->place_count) ||
        (kind == SWAP_ATTR &&
         (!attr_of(json_object_get(line, "before"), &op.before) ||
          (after && !attr_of(after, &op.after))))) {
        free(op.rel);
        return false;
    }
    swap_add(s, op);
    return true;
}

static bool read_index(struct swap *s, const json_t *line, bool split)
{
    json_int_t i = json_integer_value(json_object_get(line, "i"));

    if (i < 0 || (size_t)i >= s->op_count)
        return false;
    if (split)
        s->ops[i].split = true;
    else
        s->ops[i].copy = true;
    return true;
}

int swap_on_line(void *arg, const json_t *line, struct error *e)
{
    const char *k = json_string_value(json_object_get(line, "k"));
    struct swap *s = arg;
    bool good = true;

    if (!k)
        good = false;
    else if (strcmp(k, "begin") == 0)
        good = read_begin(s, line);
    else if (strcmp(k, "place") == 0)
        good = read_place(s, line);
    else if (strcmp(k, "staged") == 0)
        s->staged = true;
    else if (strcmp(k, "stop") == 0) {
        s->stopped = true;
        s->running = json_is_true(json_object_get(line, "running"));
    } else if (strcmp(k, "guard") == 0)
        s->guarded = true;
    else if (strcmp(k, "op") == 0)
        good = read_op(s, SWAP_ENTRY, line);
    else if (strcmp(k, "attr") == 0)
        good = read_op(s, SWAP_ATTR, line);
    else if (strcmp(k, "mkdir") == 0)
        good = read_op(s, SWAP_MKDIR, line);
    else if (strcmp(k, "rmdir") == 0)
        good = read_op(s, SWAP_RMDIR, line);
    else if (strcmp(k, "split") == 0 || strcmp(k, "copy") == 0)
        good = read_index(s, line, *k == 's');
    else if (strcmp(k, "swap") == 0)
        s->begun = true;
    else if (strcmp(k, "swapped") == 0)
        s->swapped = true;
    else if (strcmp(k, "upgrade") == 0)
        s->upgraded = true;
    else if (strcmp(k, "commit") == 0) {
        s->committed = true;
        s->start = json_is_true(json_object_get(line, "start"));
    } else if (strcmp(k, "undone") == 0)
        s->undone = true;
    else
        good = false;
    return good ? 0
                : error_set(e, OCM_E_DAMAGED,
                            "a line of the journal is not understood");
}
