/* SPDX-License-Identifier: MIT */
/* Agents and their folders, in both spellings of the roster. */
#include "agent/openclaw/agents.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/openclaw/unit.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

/* OpenClaw's own normalisation: lower case, anything odd becomes '-'. */
static char *normal_id(const char *id)
{
    char *out;
    size_t n = 0;

    while (*id == ' ')
        id++;
    out = mem_strndup(id, strnlen(id, 64));
    for (char *c = out; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + 32);
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') ||
              *c == '_' || *c == '-'))
            *c = '-';
    }
    n = strlen(out);
    while (n > 0 && out[n - 1] == '-')
        out[--n] = 0;
    if (n == 0) {
        free(out);
        out = mem_strdup("main");
    }
    return out;
}

static bool has_agent(const struct agents *a, const char *id)
{
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i].id, id) == 0)
            return true;
    }
    return false;
}

/* The trimmed text of a member, resolved to an absolute path, or NULL. */
static char *path_member(const struct config *c, const json_t *entry,
                         const char *key, const char *home)
{
    const char *text = json_string_value(json_object_get(entry, key));
    char *resolved, *path = NULL;

    if (!text)
        return NULL;
    resolved = config_resolve(c, text);
    if (*resolved)
        path = path_of_user(resolved, home);
    free(resolved);
    return path;
}

/* The workspace of the default agent. */
static char *default_workspace(const struct config *c, const char *home)
{
    char *path =
        path_member(c, config_get(c, "agents.defaults"), "workspace", home);
    const char *profile = env_get(&c->env, "OPENCLAW_PROFILE");
    const char *own_home = env_get(&c->env, "OPENCLAW_HOME");

    if (path)
        return path;
    if (own_home && *own_home)
        home = own_home;
    if (profile && *profile && strcasecmp(profile, "default") != 0 &&
        !strchr(profile, '/'))
        return mem_printf("%s/.openclaw/workspace-%s", home, profile);
    return path_join(home, ".openclaw/workspace");
}

/* Without a workspace of its own. */
static char *other_workspace(const struct config *c, const char *state_dir,
                             const char *home, const char *id)
{
    char *base =
        path_member(c, config_get(c, "agents.defaults"), "workspace", home);
    char *path = base ? path_join(base, id) : NULL;

    free(base);
    if (path && dir_exists(path))
        return path;
    free(path);
    return mem_printf("%s/workspace-%s", state_dir, id);
}

static void add_agent(struct agents *a, char *id, char *workspace, char *dir)
{
    a->items =
        mem_realloc(a->items, (a->count + 1) * sizeof(struct agent_place));
    a->items[a->count++] = (struct agent_place){
        .id = id,
        .workspace = workspace,
        .dir = dir,
    };
}

struct roster {
    const struct config *c;
    const char *state_dir, *home;
    char *default_id;
    struct agents *out;
};

static void add_entry(struct roster *r, const char *name, const json_t *entry)
{
    char *id = normal_id(name), *workspace, *dir;

    if (r->out->count >= AGENTS_MAX || has_agent(r->out, id)) {
        free(id);
        return;
    }
    workspace = path_member(r->c, entry, "workspace", r->home);
    if (!workspace && strcmp(id, r->default_id) == 0)
        workspace = default_workspace(r->c, r->home);
    if (!workspace)
        workspace = other_workspace(r->c, r->state_dir, r->home, id);
    dir = path_member(r->c, entry, "agentDir", r->home);
    if (!dir)
        dir = mem_printf("%s/agents/%s/agent", r->state_dir, id);
    add_agent(r->out, id, workspace, dir);
}

/* The entry with `default: true`, else the first of a list; of a map "main",
 * if it is there, else the first. */
static char *find_default(const json_t *list, const json_t *entries)
{
    const char *key, *first = NULL;
    json_t *entry;
    size_t i;

    json_array_foreach(list, i, entry)
    {
        const char *id = json_string_value(json_object_get(entry, "id"));

        if (!id)
            continue;
        if (json_is_true(json_object_get(entry, "default")))
            return normal_id(id);
        if (!first)
            first = id;
    }
    json_object_foreach((json_t *)entries, key, entry)
    {
        if (json_is_true(json_object_get(entry, "default")))
            return normal_id(key);
        if (!first || strcmp(key, "main") == 0)
            first = key;
    }
    return normal_id(first ? first : "main");
}

void agents_list(const struct config *c, const char *state_dir,
                 const char *home, struct agents *out)
{
    const json_t *list = config_get(c, "agents.list");
    const json_t *entries = config_get(c, "agents.entries");
    struct roster r = {.c = c,
                       .state_dir = state_dir,
                       .home = home,
                       .default_id = find_default(list, entries),
                       .out = out};
    const char *key;
    json_t *entry;
    size_t i;

    *out = (struct agents){0};
    json_array_foreach(list, i, entry)
    {
        const char *id = json_string_value(json_object_get(entry, "id"));

        if (id)
            add_entry(&r, id, entry);
    }
    json_object_foreach((json_t *)entries, key, entry)
        add_entry(&r, key, entry);
    if (out->count == 0)
        add_entry(&r, "main", NULL);
    free(r.default_id);
}

static void add_yaml(struct agents *a, const struct config *c, const char *name,
                     const json_t *entry, const char *state_dir)
{
    const char *id = json_string_value(json_object_get(entry, "id"));
    char *workspace = path_member(c, entry, "workspace", state_dir);

    if (!id)
        id = json_string_value(json_object_get(entry, "name"));
    if (!id)
        id = name;
    if (id && a->count < AGENTS_MAX) {
        char *normal = normal_id(id);

        if (!workspace)
            workspace = mem_printf("%s/workspace-%s", state_dir, normal);
        if (!has_agent(a, normal)) {
            add_agent(a, normal, workspace,
                      mem_printf("%s/agents/%s", state_dir, normal));
            return;
        }
        free(normal);
    }
    free(workspace);
}

void agents_list_yaml(const struct config *c, const char *state_dir,
                      struct agents *out)
{
    char *path = path_join(state_dir, "agents.yaml");
    struct config file;
    struct buf notes = {0};
    const json_t *all;
    const char *key;
    json_t *entry;
    size_t i;

    *out = (struct agents){0};
    config_load(path, true, &file, &notes, NULL);
    all = config_get(&file, "agents");
    if (!all && file.root && json_is_array(file.root))
        all = file.root;
    json_array_foreach(all, i, entry) add_yaml(out, c, NULL, entry, state_dir);
    json_object_foreach((json_t *)all, key, entry)
        add_yaml(out, c, key, entry, state_dir);
    if (out->count == 0)
        add_agent(out, mem_strdup("main"), path_join(state_dir, "workspace"),
                  mem_printf("%s/agents/main", state_dir));
    config_fini(&file);
    buf_free(&notes);
    free(path);
}

void agents_fini(struct agents *a)
{
    for (size_t i = 0; i < a->count; i++) {
        free(a->items[i].id);
        free(a->items[i].workspace);
        free(a->items[i].dir);
    }
    free(a->items);
    *a = (struct agents){0};
}
