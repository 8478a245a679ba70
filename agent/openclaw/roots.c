/* SPDX-License-Identifier: MIT */
/* Which path goes into which section. All roots are collected first; then the
 * choosers, which know them all, decide path by path during the walk. */
#include "agent/openclaw/roots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/openclaw/rows.h"
#include "agent/openclaw/sections.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define CRONTAB_MAX (1024u * 1024)
#define SECRETS_FILE_MAX (1024u * 1024)
#define SHARED_DEPTH 4 /* levels of folders that sections share */

struct root_list {
    struct capture_root *items;
    size_t count, cap;
};

struct chooser {
    const struct layout *layout;
    const struct section_def *def;
    const char *at, *path;
    bool of_state; /* by the table of sections; else all that lies there */
};

/* A file of the state directory that the config puts into a section. */
struct owned {
    char *path;
    const struct section_def *def;
};

/* A file outside all places that we may look into. */
struct gap {
    size_t section; /* index */
    char *path, *text;
};

struct layout {
    int era;
    const char *state_dir; /* borrowed from struct openclaw */
    char *ocm_dir;         /* where guard and fence of a gateway lie */
    const struct conf_list *exclude;
    struct root_list *roots; /* one list per section of the table */
    struct rows_list *rows;  /* the same */
    struct chooser **choosers;
    size_t chooser_count, chooser_cap;
    char **strings; /* what the roots point to */
    size_t string_count, string_cap;
    struct owned *owned;
    size_t owned_count, owned_cap;
    struct gap *gaps;
    size_t gap_count, gap_cap;
    struct capture_section *sections;
};

static const char *keep(struct layout *l, char *s)
{
    l->strings =
        mem_grow(l->strings, &l->string_cap, l->string_count + 1, sizeof(s));
    l->strings[l->string_count++] = s;
    return s;
}

static size_t index_of(const char *section)
{
    return (size_t)(section_find(section) - section_table);
}

/* ---- choosing ---- */

/* Is it a root of its own, other than the one that is being walked? */
static bool is_other_root(const struct chooser *c, const char *path)
{
    const struct layout *l = c->layout;

    for (size_t s = 0; s < section_table_len; s++) {
        for (size_t i = 0; i < l->roots[s].count; i++) {
            if (strcmp(l->roots[s].items[i].path, path) == 0)
                return true;
        }
    }
    return false;
}

/* A stage or a replaced state of a restore, guard and fence of a gateway,
 * wherever they lie (a workspace may be the whole home): never stored, so
 * never replaced. */
static bool is_of_ocm(const struct chooser *c, const char *path,
                      const char *rel)
{
    const char *slash = strrchr(rel, '/'), *name = slash ? slash + 1 : rel;

    return text_has_prefix(name, ".ocm-stage-") ||
           text_has_prefix(name, ".ocm-old-") ||
           strcmp(name, OPENCLAW_GUARD_DROPIN) == 0 ||
           path_is_below(path, c->layout->ocm_dir);
}

static bool is_excluded(const struct chooser *c, const char *rel, bool is_dir)
{
    const struct conf_list *x = c->layout->exclude;
    char *at;
    bool hit = false;

    if (!x || x->count == 0)
        return false;
    at = path_join(c->at, rel);
    for (size_t i = 0; i < x->count && !hit; i++) {
        size_t len = strlen(x->items[i]);
        bool only_dirs = len > 0 && x->items[i][len - 1] == '/';
        char *pattern = mem_strndup(x->items[i], len - only_dirs);

        hit = (is_dir || !only_dirs) && fnmatch(pattern, at, FNM_PATHNAME) == 0;
        free(pattern);
    }
    free(at);
    return hit;
}

/* What the config says about a path of the state directory: 1 the section's,
 * -1 another's, 0 nothing, 2 a folder on the way to one of the section's. */
static int by_config(const struct chooser *c, const char *path, bool is_dir)
{
    const struct layout *l = c->layout;

    for (size_t i = 0; i < l->owned_count; i++) {
        const struct owned *own = &l->owned[i];

        if (strcmp(own->path, path) == 0)
            return own->def == c->def ? 1 : -1;
        if (is_dir && own->def == c->def && path_is_below(own->path, path))
            return 2;
    }
    return 0;
}

/* OpenClaw's own must be databases; a person's Thumbs.db need not. */
static enum capture_choice choose_file(const char *rel, bool in_state)
{
    if (!section_is_database(rel))
        return CAPTURE_TAKE;
    return in_state && text_has_suffix(rel, ".sqlite") ? CAPTURE_DATABASE
                                                       : CAPTURE_MAYBE_DATABASE;
}

static enum capture_choice choose_in_state(const struct chooser *c,
                                           const char *path, const char *rel,
                                           bool is_dir)
{
    const struct section_def *def = section_of(c->layout->era, rel, is_dir);
    int said = by_config(c, path, is_dir);

    /* a workspace of no agent: somebody's files all the same */
    if (def && strcmp(def->name, "workspace") == 0)
        def = section_find("other");
    if (said < 0)
        return CAPTURE_SKIP;
    if (is_dir && section_is_shared(c->layout->era, rel))
        return CAPTURE_DESCEND;
    if (is_dir && said == 2 && def != c->def)
        return CAPTURE_DESCEND;
    if (said != 1 && def != c->def)
        return CAPTURE_SKIP;
    return is_dir ? CAPTURE_TAKE : choose_file(rel, true);
}

static enum capture_choice choose(void *arg, const char *rel, bool is_dir)
{
    const struct chooser *c = arg;
    char *path = path_join(c->path, rel);
    enum capture_choice choice = CAPTURE_SKIP;

    if (!is_of_ocm(c, path, rel) && !is_other_root(c, path) &&
        !is_excluded(c, rel, is_dir)) {
        if (c->of_state)
            choice = choose_in_state(c, path, rel, is_dir);
        else
            choice = is_dir ? CAPTURE_TAKE : choose_file(rel, false);
    }
    free(path);
    return choice;
}

/* ---- collecting roots ---- */

static struct capture_root *add_root(struct layout *l, const char *section,
                                     char *at, char *path, bool of_state)
{
    struct root_list *list = &l->roots[index_of(section)];
    struct chooser *c = mem_zalloc(sizeof(*c));

    keep(l, at);
    keep(l, path);
    *c = (struct chooser){.layout = l,
                          .def = section_find(section),
                          .at = at,
                          .path = path,
                          .of_state = of_state};
    l->choosers = mem_grow(l->choosers, &l->chooser_cap, l->chooser_count + 1,
                           sizeof(struct chooser *));
    l->choosers[l->chooser_count++] = c;
    list->items = mem_grow(list->items, &list->cap, list->count + 1,
                           sizeof(*list->items));
    list->items[list->count] = (struct capture_root){
        .at = at, .path = path, .choose = choose, .arg = c, .shared = of_state};
    return &list->items[list->count++];
}

static bool at_is_taken(const struct layout *l, const char *section,
                        const char *at)
{
    const struct root_list *list = &l->roots[index_of(section)];

    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].at, at) == 0)
            return true;
    }
    return false;
}

static bool path_is_root(const struct layout *l, const char *path)
{
    const struct chooser any = {.layout = l};

    return is_other_root(&any, path);
}

static void own_file(struct layout *l, const char *path, const char *section)
{
    l->owned = mem_grow(l->owned, &l->owned_cap, l->owned_count + 1,
                        sizeof(*l->owned));
    l->owned[l->owned_count++] =
        (struct owned){.path = mem_strdup(path), .def = section_find(section)};
}

static void add_single(struct layout *l, const char *section, char *at,
                       const char *path)
{
    if (at_is_taken(l, section, at) || path_is_root(l, path)) {
        free(at);
        return;
    }
    /* one file: nothing to choose */
    add_root(l, section, at, mem_strdup(path), false)->choose = NULL;
}

static void add_gap(struct layout *l, const char *section, const char *path,
                    char *text)
{
    l->gaps =
        mem_grow(l->gaps, &l->gap_cap, l->gap_count + 1, sizeof(*l->gaps));
    l->gaps[l->gap_count++] =
        (struct gap){index_of(section), mem_strdup(path), text};
}

/* The config and its includes: part of the state directory, or beside it. */
static void add_config_files(struct layout *l, const struct openclaw *o,
                             const struct config *c)
{
    char *dir = mem_strdup(o->config_path);

    *strrchr(dir, '/') = 0;
    if (path_is_below(o->config_path, o->state_dir))
        own_file(l, o->config_path, "gateway");
    else if (file_exists(o->config_path))
        add_single(l, "gateway", mem_strdup("config/gateway/openclaw.json"),
                   o->config_path);
    for (size_t i = 0; i < c->include_count; i++) {
        const char *path = c->includes[i];

        if (path_is_below(path, o->state_dir))
            own_file(l, path, "gateway");
        else
            add_single(l, "gateway",
                       mem_printf("config/gateway/%s", path + strlen(dir) + 1),
                       path);
    }
    for (size_t i = 0; i < c->stray_count; i++)
        add_gap(l, "gateway", c->strays[i],
                mem_printf("%s is included by the config and lies outside %s: "
                           "not backed up; name it in [extra] of agent.conf",
                           c->strays[i], dir));
    free(dir);
}

/* Files that secrets.providers.*.path names: of the person who runs OpenClaw,
 * so within its home. */
static void add_secret_files(struct layout *l, const struct openclaw *o,
                             const struct config *c)
{
    const json_t *all = config_get(c, "secrets.providers");
    const char *name;
    json_t *provider;

    json_object_foreach((json_t *)all, name, provider)
    {
        const char *text = json_string_value(json_object_get(provider, "path"));
        char *resolved = text ? config_resolve(c, text) : NULL;
        char *path = resolved ? path_of_user(resolved, o->home) : NULL;
        struct stat st;

        free(resolved);
        if (!path || lstat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
            /* nothing to store */
        } else if (path_is_below(path, o->state_dir)) {
            own_file(l, path, "credentials");
        } else if (path_is_below(path, o->home) &&
                   st.st_size <= SECRETS_FILE_MAX &&
                   path_is_safe(name, strlen(name)) && !strchr(name, '/')) {
            add_single(l, "credentials",
                       mem_printf("config/credentials/files/%s", name), path);
        } else {
            add_gap(l, "credentials", path,
                    mem_printf("%s, which secrets.providers names, is outside "
                               "%s or too large: not backed up; name it in "
                               "[extra] of agent.conf",
                               path, o->home));
        }
        free(path);
    }
}

/* Is there anything at `path`, or can it not be told? Then it is for the
 * capture to say what is wrong with it. */
static bool may_be_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static void add_place(struct layout *l, const char *section, char *at,
                      const char *path, const char *whose, struct buf *notes)
{
    if (path_is_root(l, path)) {
        free(at);
    } else if (may_be_there(path)) {
        add_root(l, section, at, mem_strdup(path), false);
    } else {
        buf_printf(notes,
                   "%s of agent %s does not exist: nothing of it is "
                   "backed up\n",
                   path, whose);
        free(at);
    }
}

static void add_agents(struct layout *l, const struct openclaw *o,
                       const struct agents *a, struct buf *notes)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct agent_place *p = &a->items[i];

        if (strcmp(p->workspace, o->state_dir) != 0)
            add_place(l, "workspace", mem_printf("data/workspace/%s", p->id),
                      p->workspace, p->id, notes);
        if (!path_is_below(p->dir, o->state_dir))
            add_place(l, "sessions", mem_printf("data/sessions/dirs/%s", p->id),
                      p->dir, p->id, notes);
    }
}

/* The user's crontab, where it can be read as a file. */
static void add_crontab(struct layout *l, const struct openclaw *o)
{
    struct stat st;
    struct passwd pw, *found = NULL;
    char room[4096], *path;
    struct buf text = {0};

    if (stat(o->home, &st) < 0 ||
        getpwuid_r(st.st_uid, &pw, room, sizeof(room), &found) != 0 || !found)
        return;
    path = mem_printf("/var/spool/cron/crontabs/%s", found->pw_name);
    if (strcmp(found->pw_dir, o->home) == 0 &&
        file_read(path, CRONTAB_MAX, &text, NULL) == 0 &&
        strstr(buf_str(&text), "openclaw"))
        add_single(l, "service", mem_strdup("config/service/crontab"), path);
    buf_wipe(&text);
    free(path);
}

static int add_extra(struct layout *l, const struct openclaw *o,
                     const struct conf_list *extra, struct buf *notes,
                     struct error *e)
{
    for (size_t i = 0; extra && i < extra->count; i++) {
        const char *eq = strchr(extra->items[i], '=');
        char *name =
            eq ? mem_strndup(extra->items[i], (size_t)(eq - extra->items[i]))
               : NULL;
        char *path = eq ? path_clean(eq + 1) : NULL;
        int rc = 0;

        if (!name || !name_is_valid(name) || !path || !path[1])
            rc = error_set(e, OCM_E_INVALID,
                           "[extra] path = %s: expected name=/absolute/path",
                           extra->items[i]);
        else if (strcmp(path, o->state_dir) == 0 || path_is_root(l, path))
            rc = error_set(e, OCM_E_INVALID,
                           "[extra] path = %s: is backed up already",
                           extra->items[i]);
        else if (!may_be_there(path))
            buf_printf(notes, "[extra] %s: %s does not exist\n", name, path);
        else
            add_root(l, "extra", mem_printf("data/extra/%s", name),
                     mem_strdup(path), false);
        free(name);
        free(path);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- the state directory ---- */

/* Does the chooser take anything below `rel`? Only shared folders are looked
 * into; any other answers for itself. */
static bool takes_any(struct chooser *c, const char *rel, int depth)
{
    char *path = path_join(c->path, rel);
    DIR *dir = opendir(path);
    struct dirent *d;
    bool any = false;

    while (dir && !any && (d = readdir(dir))) {
        struct stat st;
        char *name;
        bool is_dir;

        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
            fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        is_dir = S_ISDIR(st.st_mode);
        name = path_join(rel, d->d_name);
        switch (choose(c, name, is_dir)) {
        case CAPTURE_DESCEND:
            any = depth < SHARED_DEPTH && takes_any(c, name, depth + 1);
            break;
        case CAPTURE_SKIP:
            break;
        default:
            any = true;
        }
        free(name);
    }
    if (dir)
        closedir(dir);
    free(path);
    return any;
}

static void add_state_dir(struct layout *l)
{
    for (size_t i = 0; i < section_table_len; i++) {
        const struct section_def *def = &section_table[i];
        struct chooser c = {.layout = l,
                            .def = def,
                            .at = "",
                            .path = l->state_dir,
                            .of_state = true};
        char *at = mem_printf("%s/%s", def->area, def->name);

        c.at = at;
        if (takes_any(&c, "", 0))
            add_root(l, def->name, at, mem_strdup(l->state_dir), true);
        else
            free(at);
    }
}

static int collect(struct layout *l, const struct openclaw *o,
                   const struct roots_input *in, struct buf *notes,
                   struct error *e)
{
    int rc;

    add_config_files(l, o, in->config);
    add_secret_files(l, o, in->config);
    add_agents(l, o, in->agents, notes);
    if (in->unit) {
        add_single(l, "service",
                   mem_printf("config/service/%s", in->unit->name),
                   in->unit->path);
        if (dir_exists(in->unit->dir))
            add_root(l, "service",
                     mem_printf("config/service/%s.d", in->unit->name),
                     mem_strdup(in->unit->dir), false);
    }
    add_crontab(l, o);
    rc = add_extra(l, o, in->conf->extra, notes, e);
    if (rc == 0)
        add_state_dir(l); /* last: it leaves out all the others */
    return rc;
}

/* Each section's, unless another root (or the state directory) has it. */
static void set_gaps(struct layout *l)
{
    for (size_t i = 0; i < l->gap_count; i++) {
        const struct gap *g = &l->gaps[i];
        struct capture_section *s = &l->sections[g->section];
        bool stored = path_is_below(g->path, l->state_dir);

        for (size_t k = 0; k < section_table_len && !stored; k++) {
            for (size_t r = 0; r < l->roots[k].count && !stored; r++)
                stored = path_is_below(g->path, l->roots[k].items[r].path);
        }
        if (stored)
            continue;
        s->gaps =
            mem_realloc((void *)s->gaps, (s->gap_count + 1) * sizeof(*s->gaps));
        ((const char **)s->gaps)[s->gap_count++] = g->text;
    }
}

int roots_build(struct openclaw *o, const struct roots_input *in,
                struct buf *notes, struct error *e)
{
    struct layout *l = mem_zalloc(sizeof(*l));
    int rc;

    l->era = o->era;
    l->state_dir = o->state_dir;
    l->exclude = in->conf->exclude;
    l->roots = mem_array(section_table_len, sizeof(*l->roots));
    l->rows = mem_array(section_table_len, sizeof(*l->rows));
    l->sections = mem_array(section_table_len, sizeof(*l->sections));
    o->memory = l;
    l->ocm_dir = path_join(o->home, OPENCLAW_OCM_DIR);
    rc = o->era == ERA_NONE ? 0 : collect(l, o, in, notes, e);
    if (rc < 0)
        return rc;
    rows_collect(o, in->agents, l->rows, notes);
    for (size_t i = 0; i < section_table_len; i++) {
        l->sections[i] = (struct capture_section){
            .name = section_table[i].name,
            .area = section_table[i].area,
            .roots = l->roots[i].items,
            .root_count = l->roots[i].count,
            .rows = l->rows[i].items,
            .row_count = l->rows[i].count,
        };
    }
    set_gaps(l);
    o->sections = l->sections;
    o->section_count = section_table_len;
    return 0;
}

void roots_free(void *memory)
{
    struct layout *l = memory;

    if (!l)
        return;
    for (size_t i = 0; i < section_table_len; i++) {
        free(l->roots[i].items);
        rows_fini(&l->rows[i]);
        free((void *)l->sections[i].gaps);
    }
    for (size_t i = 0; i < l->chooser_count; i++)
        free(l->choosers[i]);
    for (size_t i = 0; i < l->string_count; i++)
        free(l->strings[i]);
    for (size_t i = 0; i < l->owned_count; i++)
        free(l->owned[i].path);
    for (size_t i = 0; i < l->gap_count; i++) {
        free(l->gaps[i].path);
        free(l->gaps[i].text);
    }
    free(l->gaps);
    free(l->ocm_dir);
    free(l->roots);
    free(l->rows);
    free(l->choosers);
    free(l->strings);
    free(l->owned);
    free(l->sections);
    free(l);
}
