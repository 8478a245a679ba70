/* SPDX-License-Identifier: MIT */
/* From sections and roots of the source to paths of this node. What may be
 * written is decided here and by this node alone: below its state directory,
 * its home, its workspaces and the folders its agent.conf names. */
#include "agent/apply/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

/* ---- sections ---- */

static enum section_action action_of(const struct section_def *def,
                                     enum intention intention)
{
    switch (intention) {
    case INTENT_CLONE:
        return def->clone;
    case INTENT_MOVE:
        return def->move;
    case INTENT_RESTORE:
        break;
    }
    return def->restore;
}

static bool is_named(const struct apply_options *o, const char *name)
{
    for (size_t i = 0; i < o->section_count; i++)
        if (strcmp(o->sections[i], name) == 0)
            return true;
    return o->section_count == 0;
}

static bool in_snapshot(const struct snap_section *s)
{
    return strcmp(s->state, "complete") == 0 ||
           strcmp(s->state, "partial") == 0;
}

static int check_names(const struct apply *a, struct error *e)
{
    struct buf have = {0};
    int rc = 0;

    for (size_t i = 0; i < a->snap.section_count; i++)
        if (in_snapshot(&a->snap.sections[i]))
            buf_printf(&have, "%s%s", have.len ? ", " : "",
                       a->snap.sections[i].name);
    for (size_t i = 0; rc == 0 && i < a->o->section_count; i++) {
        bool found = false;

        for (size_t j = 0; j < a->snap.section_count; j++)
            found |= in_snapshot(&a->snap.sections[j]) &&
                     strcmp(a->snap.sections[j].name, a->o->sections[i]) == 0;
        if (!found)
            rc = error_set(e, OCM_E_NOTFOUND,
                           "the backup has no section '%.40s'; it has: %s",
                           a->o->sections[i], buf_str(&have));
    }
    buf_free(&have);
    return rc;
}

/* Absent on the source while its state directory was there: then a whole
 * restore makes it absent here too. What stood elsewhere may only have been
 * unmounted. */
static bool is_to_be_cleared(const struct apply *a, size_t section)
{
    const struct snap *s = &a->snap;
    const struct openclaw *o = &a->target;
    const char *state = facts_get(&s->facts, "state.dir");
    bool had_state = false, any = false;

    if (strcmp(s->sections[section].state, "absent") != 0 ||
        a->o->intention != INTENT_RESTORE || a->o->section_count > 0 || !state)
        return false;
    for (size_t i = 0; i < s->root_count; i++)
        had_state |= strcmp(s->roots[i].path, state) == 0;
    for (size_t i = 0; i < o->section_count; i++) {
        const struct capture_section *own = &o->sections[i];

        for (size_t j = 0; strcmp(own->name, s->sections[section].name) == 0 &&
                           j < own->root_count;
             j++) {
            if (!path_is_below(own->roots[j].path, o->state_dir))
                return false;
            any = true;
        }
    }
    return had_state && any;
}

static struct snap_section *find_section(const struct apply *a,
                                         const char *name)
{
    for (size_t i = 0; i < a->snap.section_count; i++)
        if (strcmp(a->snap.sections[i].name, name) == 0)
            return &a->snap.sections[i];
    return NULL;
}

/* Named without "state", sections that the state database holds come as rows:
 * of "state" the database alone is fetched, to be merged. */
static void choose_rows(struct apply *a)
{
    static const char *const in_database[] = {"cron", "credentials"};
    struct snap_section *state = find_section(a, "state");

    if ((a->snap.era != ERA_SQLITE && a->snap.era != ERA_MIXED) || !state ||
        state->chosen || !state->def || !in_snapshot(state))
        return;
    for (size_t i = 0; i < ARRAY_LEN(in_database); i++) {
        const struct snap_section *s = find_section(a, in_database[i]);

        if (s && s->chosen)
            a->row_sections[a->row_section_count++] = in_database[i];
    }
    if (a->row_section_count == 0)
        return;
    state->chosen = state->rows_only = state->adds_only = true;
    state->action = ACTION_MERGE;
}

int target_choose(struct apply *a, struct error *e)
{
    struct snap *s = &a->snap;
    int rc = check_names(a, e);

    for (size_t i = 0; rc == 0 && i < s->section_count; i++) {
        struct snap_section *section = &s->sections[i];

        if (!is_named(a->o, section->name) ||
            (a->o->no_data && strcmp(section->area, "data") == 0))
            continue;
        if (!section->def) {
            plan_warn(&a->out->plan, "unknown-section", false, section->name,
                      "", "",
                      "this agent does not know the section: it is left out");
            continue;
        }
        section->listed =
            in_snapshot(section) || strcmp(section->state, "absent") == 0;
        section->action = action_of(section->def, a->o->intention);
        if (section->action == ACTION_KEEP || section->action == ACTION_DROP)
            continue;
        section->chosen = in_snapshot(section);
        section->clear = is_to_be_cleared(a, i);
        section->adds_only = strcmp(section->state, "partial") == 0;
        if (section->adds_only)
            plan_warn(&a->out->plan, "partial", false, section->name, "", "",
                      "the backup of this section is partial: what it lacks "
                      "stays as it is on this node");
    }
    if (rc == 0)
        choose_rows(a);
    for (size_t i = 0; rc == 0 && i < s->root_count; i++)
        s->roots[i].wanted = s->sections[s->roots[i].section].chosen;
    return rc;
}

/* ---- roots ---- */

static char *moved(const char *path, const char *from, const char *to)
{
    if (!from || !to || !path_is_below(path, from))
        return NULL;
    return path_join(to, path[strlen(from)] ? path + strlen(from) + 1 : "");
}

static char *map(const struct apply *a, const struct snap_root *r)
{
    const struct facts *from = &a->snap.facts;
    const char *config = facts_get(from, "state.config");
    const char *name = strrchr(r->at, '/');
    char *path = NULL;

    if (text_has_prefix(r->at, "data/extra/") && name) {
        char *key = mem_printf("layout.%s", name + 1);
        const char *own = facts_get(&a->target.facts, key);

        free(key);
        return own ? path_clean(own) : NULL;
    }
    if (config && strcmp(r->path, config) == 0 && a->target.config_path)
        return path_clean(a->target.config_path);
    if (strcmp(r->path, facts_get(from, "state.dir")) == 0)
        return path_clean(a->target.state_dir);
    path = adapt_map_path(a->adapt, r->path);
    if (!path)
        path =
            moved(r->path, facts_get(from, "state.dir"), a->target.state_dir);
    if (!path)
        path = moved(r->path, facts_get(from, "user.home"), a->target.home);
    if (!path)
        path = mem_strdup(r->path);
    if (path) {
        char *clean = path_clean(path);

        free(path);
        path = clean;
    }
    return path;
}

/* Symbolic links on the way to a root are followed once, here, as capture
 * follows them: a workspace may be a link to another disk. */
char *target_real(const char *path)
{
    char *dir = mem_strdup(path), *real = NULL, *full;
    size_t len = strlen(dir);

    while (!(real = realpath(len ? dir : "/", NULL)) && len > 0) {
        while (len > 0 && dir[len - 1] != '/')
            len--;
        len -= len > 0;
        dir[len] = 0;
    }
    full = real ? path_join(real, path + len + (path[len] == '/'))
                : mem_strdup(path);
    free(real);
    free(dir);
    return full;
}

static bool is_below_real(const char *path, const char *base)
{
    char *real = base && base[0] == '/' ? target_real(base) : NULL;
    bool below = real && strcmp(real, "/") != 0 && path_is_below(path, real);

    free(real);
    return below;
}

/* `path` is real. */
static bool may_be_written(const struct apply *a, const char *path)
{
    const struct facts *f = &a->target.facts;
    char *config =
        a->target.config_path ? target_real(a->target.config_path) : NULL;
    bool may = (config && strcmp(path, config) == 0) ||
               is_below_real(path, a->target.state_dir) ||
               is_below_real(path, a->target.home);

    free(config);
    for (size_t i = 0; !may && i < f->count; i++) {
        const char *key = f->items[i].key;
        bool folder = text_has_prefix(key, "layout.") ||
                      (text_has_prefix(key, "agent.") &&
                       (text_has_suffix(key, ".workspace") ||
                        text_has_suffix(key, ".dir")));

        may = folder && is_below_real(path, f->items[i].value);
    }
    return may;
}

static bool has_wanted_root(const struct snap *s, size_t section)
{
    for (size_t i = 0; i < s->root_count; i++)
        if (s->roots[i].section == section && s->roots[i].wanted)
            return true;
    return false;
}

void target_map(struct apply *a)
{
    a->state_real = target_real(a->target.state_dir);
    for (size_t i = 0; i < a->snap.root_count; i++) {
        struct snap_root *r = &a->snap.roots[i];
        const char *section = a->snap.sections[r->section].name;

        if (!r->wanted)
            continue;
        r->shown = map(a, r);
        r->target = r->shown ? target_real(r->shown) : NULL;
        if (!r->target) {
            plan_warn(&a->out->plan, "unmapped", false, section, r->at, "",
                      "this node has no place for %s: name it under [extra] "
                      "in agent.conf; it is left out",
                      r->path);
        } else if (!may_be_written(a, r->target)) {
            plan_warn(&a->out->plan, "outside", false, section, r->at, "",
                      "%s is outside the folders of this node: name it under "
                      "[extra] in agent.conf; it is left out",
                      r->target);
            free(r->target);
            r->target = NULL;
        }
        r->wanted = r->target != NULL;
        a->snap.sections[r->section].adds_only |= !r->wanted;
    }
    for (size_t i = 0; i < a->snap.section_count; i++) {
        struct snap_section *s = &a->snap.sections[i];

        s->chosen =
            s->chosen && (has_wanted_root(&a->snap, i) || !s->adds_only);
    }
}

/* ---- places ---- */

bool target_is_mount(const struct apply *a, const char *path)
{
    for (size_t i = 0; i < a->mount_count; i++)
        if (strcmp(a->mounts[i], path) == 0)
            return true;
    return false;
}

static void unescape_octal(char *s)
{
    char *out = s;

    for (; *s; s++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
            *out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + s[3] - '0');
            s += 3;
        } else {
            *out++ = *s;
        }
    }
    *out = 0;
}

static void load_mounts(struct apply *a)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t cap = 0;

    while (f && getline(&line, &cap, f) > 0) {
        char *save = NULL, *word = strtok_r(line, " ", &save);

        for (int i = 0; word && i < 4; i++)
            word = strtok_r(NULL, " ", &save);
        if (!word)
            continue;
        unescape_octal(word);
        a->mounts = mem_grow(a->mounts, &a->mount_cap, a->mount_count + 1,
                             sizeof(*a->mounts));
        a->mounts[a->mount_count++] = mem_strdup(word);
    }
    free(line);
    if (f)
        fclose(f);
}

/* Is there a mount point strictly below `outer` on the way to `path`? */
static const char *mount_between(const struct apply *a, const char *outer,
                                 const char *path)
{
    const char *best = NULL;

    for (size_t i = 0; i < a->mount_count; i++) {
        const char *m = a->mounts[i];

        if (strcmp(m, outer) != 0 && path_is_below(m, outer) &&
            path_is_below(path, m) && (!best || strlen(m) > strlen(best)))
            best = m;
    }
    return best;
}

static uint32_t place_add(struct apply *a, const char *path)
{
    const char *name = strrchr(path, '/');
    struct place *p;
    char *label;

    for (size_t i = 0; i < a->place_count; i++)
        if (strcmp(a->places[i].path, path) == 0)
            return (uint32_t)i;
    a->places = mem_grow(a->places, &a->place_cap, a->place_count + 1,
                         sizeof(*a->places));
    if (strcmp(path, a->state_real) == 0)
        label = mem_strdup("state");
    else
        label = mem_printf("%zu-%.80s", a->place_count, name ? name + 1 : "");
    p = &a->places[a->place_count++];
    *p = (struct place){.path = mem_strdup(path), .label = label};
    return (uint32_t)(a->place_count - 1);
}

uint32_t target_add_place(struct apply *a, const char *path)
{
    return place_add(a, path);
}

/* The place that `path` belongs to, made when there is none. */
static uint32_t place_for(struct apply *a, const char *path)
{
    const struct place *best = NULL;
    const char *mount;

    for (size_t i = 0; i < a->place_count; i++) {
        const struct place *p = &a->places[i];

        if (path_is_below(path, p->path) &&
            (!best || strlen(p->path) > strlen(best->path)))
            best = p;
    }
    if (!best)
        return place_add(a, path);
    mount = mount_between(a, best->path, path);
    return mount ? place_add(a, mount) : (uint32_t)(best - a->places);
}

static int by_target(const void *x, const void *y)
{
    const struct snap_root *const *a = x, *const *b = y;

    return strcmp((*a)->target, (*b)->target);
}

static void place_roots(struct apply *a)
{
    struct snap *s = &a->snap;
    struct snap_root **order = mem_array(s->root_count + 1, sizeof(*order));
    size_t count = 0;

    for (size_t i = 0; i < s->root_count; i++)
        if (s->roots[i].wanted && s->roots[i].entry != SNAP_NONE)
            order[count++] = &s->roots[i];
    qsort(order, count, sizeof(*order), by_target); /* outer ones first */
    for (size_t i = 0; i < count; i++) {
        struct snap_root *r = order[i];
        const struct place *p;
        size_t len;

        r->place = place_for(a, r->target);
        p = &a->places[r->place];
        len = strlen(p->path);
        r->rel = mem_strdup(r->target[len] ? r->target + len + 1 : "");
    }
    free(order);
}

/* Parents come before their children, so one pass is enough. */
static int place_entries(struct apply *a, struct error *e)
{
    struct snap *s = &a->snap;
    struct buf path = {0};
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < s->count; i++) {
        struct snap_entry *n = &s->entries[i];

        if (n->root == SNAP_NONE)
            continue;
        if (s->roots[n->root].entry == i) {
            n->place = s->roots[n->root].place;
            n->flags |= SNAP_BASE;
        } else {
            n->place = s->entries[n->parent].place;
        }
        buf_clear(&path);
        target_path(a, i, &path);
        if (path.len > SNAP_MAX_PATH)
            rc = error_set(e, OCM_E_LIMIT,
                           "%.80s...: the path is too long on this node",
                           buf_str(&path));
        else if (n->type == TREE_DIR && target_is_mount(a, buf_str(&path)))
            n->place = place_add(a, buf_str(&path));
    }
    buf_free(&path);
    return rc;
}

char *target_state_db(const struct apply *a)
{
    return path_join(a->target.state_dir, "state/openclaw.sqlite");
}

/* Why rows cannot be brought into the target's database; NULL: they can. */
static const char *no_way_for_rows(const struct apply *a,
                                   const struct snap_section *s)
{
    char *live = target_state_db(a);
    bool there = file_exists(live);

    free(live);
    if (a->row_section_count == 0)
        return "the backup was made without its state database: choose a "
               "backup of all sections";
    if (!there)
        return "this node has no state database yet: choose the section "
               "\"state\" too";
    return s->failed;
}

/* Sections that are rows of the state database come with it, or into the
 * target's. */
static void warn_of_rows(struct apply *a)
{
    const struct snap_section *state = find_section(a, "state");
    bool whole = state && state->chosen && !state->rows_only;

    for (size_t i = 0; i < a->snap.section_count && !whole; i++) {
        const struct snap_section *s = &a->snap.sections[i];
        const char *why =
            s->chosen && s->has_rows ? no_way_for_rows(a, state) : NULL;

        if (why)
            plan_warn(&a->out->plan, "rows-only", true, s->name, "", "",
                      "this generation of OpenClaw keeps the section in its "
                      "state database, and %s",
                      why);
        else if (s->chosen && s->has_rows &&
                 strcmp(s->name, "credentials") == 0)
            plan_warn(&a->out->plan, "rows-only", false, s->name, "", "",
                      "logins that an agent keeps in a database of its own "
                      "come only with the section \"sessions\"");
    }
}

int target_place(struct apply *a, struct error *e)
{
    warn_of_rows(a);
    for (size_t i = 0; i < a->snap.root_count; i++) {
        const struct snap_root *r = &a->snap.roots[i];

        if (r->wanted && r->entry == SNAP_NONE) /* named, but not there */
            a->snap.sections[r->section].adds_only = true;
    }
    load_mounts(a);
    place_roots(a);
    return place_entries(a, e);
}

/* Follow parents up to the entry that its place begins with. */
void target_rel(const struct apply *a, uint32_t entry, struct buf *out)
{
    const struct snap *s = &a->snap;
    const struct snap_entry *n = &s->entries[entry];
    bool at_root = n->flags & SNAP_BASE;

    if (at_root) {
        const struct snap_root *r = &s->roots[n->root];

        if (n->place == r->place)
            buf_add_str(out, r->rel);
        return;
    }
    if (s->entries[n->parent].place != n->place)
        return; /* a mount point */
    target_rel(a, n->parent, out);
    if (out->len > 0)
        buf_add_byte(out, '/');
    buf_add(out, n->name, n->name_len);
}

void target_path(const struct apply *a, uint32_t entry, struct buf *out)
{
    const struct place *p = &a->places[a->snap.entries[entry].place];
    struct buf rel = {0};

    target_rel(a, entry, &rel);
    buf_add_str(out, p->path);
    if (rel.len > 0) {
        buf_add_byte(out, '/');
        buf_add(out, rel.data, rel.len);
    }
    buf_free(&rel);
}

uint32_t target_find(const struct apply *a, const char *path, bool any)
{
    const struct snap *s = &a->snap;

    for (size_t i = 0; i < s->root_count; i++) {
        const struct snap_root *r = &s->roots[i];
        uint32_t at = r->entry;
        const char *rest;

        if (!r->target || at == SNAP_NONE || !path_is_below(path, r->target))
            continue;
        rest = path + strlen(r->target);
        while (at != SNAP_NONE && *rest) {
            size_t len;

            rest += *rest == '/';
            len = strcspn(rest, "/");
            if (len > 0)
                at = snap_child(s, at, rest, len);
            rest += len;
        }
        if (at != SNAP_NONE && (any || !apply_is_out(a, &s->entries[at])))
            return at;
    }
    return SNAP_NONE;
}

bool target_will_exist(const struct apply *a, const char *path)
{
    char *real = path[0] == '/' ? target_real(path) : mem_strdup(path);
    bool will = target_find(a, real, false) != SNAP_NONE || file_exists(path);

    free(real);
    return will;
}
