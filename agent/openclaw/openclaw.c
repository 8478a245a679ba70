/* SPDX-License-Identifier: MIT */
/* Detection: home -> unit or running gateway -> state directory -> config ->
 * era -> installed program -> facts -> sections. Nothing is run, nothing is
 * written; what is odd becomes a note. */
#include "agent/openclaw/openclaw.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/openclaw/cron.h"
#include "agent/openclaw/detect_internal.h"
#include "agent/openclaw/roots.h"
#include "agent/openclaw/sections.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define YAML_DEFAULT_DIR "/www/server/openclaw"

static bool exists_in(const char *dir, const char *name)
{
    char *path = path_join(dir, name);
    bool yes = file_exists(path);

    free(path);
    return yes;
}

static bool any_match(const char *dir, const char *pattern)
{
    char *full = path_join(dir, pattern);
    glob_t g = {0};
    bool yes = glob(full, GLOB_NOSORT, NULL, &g) == 0;

    globfree(&g);
    free(full);
    return yes;
}

/* ---- where ---- */

static bool has_yaml(const char *dir)
{
    return exists_in(dir, "gateway.yaml") || exists_in(dir, "gateway.yml");
}

static char *find_state_dir(struct looking *l)
{
    const struct openclaw_conf *conf = l->conf;
    const char *home = l->o->home;
    char *dir;

    if (*conf->state_dir) {
        dir = path_of_user(conf->state_dir, home);
        l->has_unit = unit_find(conf->unit, home, dir, &l->unit);
        return dir;
    }
    l->has_unit = unit_find(conf->unit, home, "", &l->unit);
    if (l->has_unit)
        return state_dir_of(&l->unit.env, l->unit.home, l->unit.words,
                            l->unit.word_count);
    dir = proc_find_state_dir(home);
    if (dir)
        return dir;
    dir = state_dir_of(&(struct env){0}, home, NULL, 0);
    if (!dir_exists(dir) && strcmp(conf->layout, "openclaw") != 0 &&
        has_yaml(YAML_DEFAULT_DIR)) {
        free(dir);
        dir = mem_strdup(YAML_DEFAULT_DIR);
    }
    return dir;
}

static bool wants_yaml(const struct looking *l)
{
    const char *dir = l->o->state_dir;

    if (strcmp(l->conf->layout, "yaml") == 0)
        return true;
    return strcmp(l->conf->layout, "openclaw") != 0 && has_yaml(dir) &&
           !exists_in(dir, "openclaw.json") &&
           !exists_in(dir, "state/openclaw.sqlite");
}

static char *find_config(const struct looking *l, bool yaml)
{
    static const char *const names[] = {"openclaw.json", "clawdbot.json",
                                        "moltbot.json"};
    const char *dir = l->o->state_dir;
    const char *named = NULL;

    if (*l->conf->config_path)
        return path_of_user(l->conf->config_path, l->o->home);
    if (yaml)
        return path_join(dir, exists_in(dir, "gateway.yaml") ||
                                      !exists_in(dir, "gateway.yml")
                                  ? "gateway.yaml"
                                  : "gateway.yml");
    if (l->has_unit)
        named = env_get(&l->unit.env, "OPENCLAW_CONFIG_PATH");
    if (named && *named)
        return path_of_user(named, l->unit.home);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (exists_in(dir, names[i]))
            return path_join(dir, names[i]);
    }
    return path_join(dir, names[0]);
}

/* ---- era ---- */

/* Is "2026.7.2-beta.1" at least year.month.patch? */
static bool version_at_least(const char *v, int year, int month, int patch)
{
    int y = 0, m = 0, p = 0;

    if (!v || sscanf(v, "%d.%d.%d", &y, &m, &p) < 2)
        return false;
    if (y != year)
        return y > year;
    return m != month ? m > month : p >= patch;
}

/* Sessions are in SQLite since 2026.7.2. Without a version the files tell. */
static enum openclaw_era find_era(const struct looking *l, bool yaml)
{
    static const char *const marks[] = {"agents",    "credentials", "cron",
                                        "workspace", "sessions",    "identity"};
    const char *dir = l->o->state_dir;
    const char *version = facts_get(&l->o->facts, "state.version");

    if (!dir_exists(dir))
        return ERA_NONE;
    if (yaml)
        return ERA_YAML;
    if (exists_in(dir, "state/openclaw.sqlite")) {
        if (version)
            return version_at_least(version, 2026, 7, 2) ? ERA_SQLITE
                                                         : ERA_MIXED;
        return any_match(dir, "agents/*/sessions/sessions.json") ? ERA_MIXED
                                                                 : ERA_SQLITE;
    }
    if (file_exists(l->o->config_path))
        return ERA_FILES;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (exists_in(dir, marks[i]))
            return ERA_FILES;
    }
    return ERA_NONE;
}

/* ---- the whole ---- */

/* Variables as the gateway has them: its unit's or, running without one, its
 * own, then the state's .env, then env.vars of the config. */
static void gather_env(struct looking *l)
{
    struct env *env = &l->config.env;
    char *dotenv = path_join(l->o->state_dir, ".env");
    const char *key;
    struct error e = {0};
    json_t *value;
    int rc;

    if (l->has_unit) {
        for (size_t i = 0; i < l->unit.env.count; i++)
            env_add(env, l->unit.env.vars[i].name, l->unit.env.vars[i].value);
    } else if (l->running) {
        env_add_process(env, l->gateway.pid);
    }
    rc = env_add_file(env, dotenv, DOC_ENV, &e);
    if (rc < 0 && rc != -ENOENT)
        buf_printf(l->notes, "%s\n", e.text);
    json_object_foreach(
        (json_t *)config_get(&l->config,
                             json_is_object(config_get(&l->config, "env.vars"))
                                 ? "env.vars"
                                 : "env"),
        key, value)
    {
        if (json_is_string(value))
            env_add(env, key, json_string_value(value));
    }
    free(dotenv);
}

static void read_config(struct looking *l, bool yaml)
{
    struct error e = {0};
    char *version;
    int rc = config_load(l->o->config_path, yaml, &l->config, l->notes, &e);

    if (rc < 0 && (rc != -ENOENT || dir_exists(l->o->state_dir)))
        buf_printf(l->notes, "%s\n", e.text);
    gather_env(l);
    version = config_string(&l->config, "meta.lastTouchedVersion");
    if (version && *version)
        facts_set(&l->o->facts, "state.version", version);
    free(version);
}

static void note_versions(struct looking *l)
{
    const char *state = facts_get(&l->o->facts, "state.schema");
    int64_t have;

    if (state && text_to_i64(state, 0, INT32_MAX, &have) &&
        l->install.schema_state >= 0 && have > l->install.schema_state)
        buf_printf(l->notes,
                   "the state database has schema %lld, the installed OpenClaw "
                   "%s supports %lld: it will not start\n",
                   (long long)have,
                   l->install.version ? l->install.version : "",
                   (long long)l->install.schema_state);
}

static int look(struct looking *l, struct error *e)
{
    struct openclaw *o = l->o;
    struct roots_input in;
    int64_t jobs;
    bool yaml;

    o->state_dir = find_state_dir(l);
    yaml = wants_yaml(l);
    o->config_path = find_config(l, yaml);
    l->running = proc_find_gateway(o->state_dir, o->config_path, &l->gateway);
    read_config(l, yaml);
    o->era = find_era(l, yaml);
    install_find(l->conf->bin, l->has_unit ? &l->unit : NULL, o->home,
                 &l->install);
    if (yaml)
        agents_list_yaml(&l->config, o->state_dir, &l->agents);
    else
        agents_list(&l->config, o->state_dir, o->home, &l->agents);

    detect_facts(l);
    if (o->era != ERA_NONE) {
        jobs = cron_count(o->state_dir, o->era, &l->config, l->notes);
        if (jobs >= 0)
            detect_set_number(&o->facts, "cron.jobs", jobs);
        note_versions(l);
    }
    in = (struct roots_input){
        .conf = l->conf,
        .agents = &l->agents,
        .config = &l->config,
        .unit = l->has_unit ? &l->unit : NULL,
    };
    return roots_build(o, &in, l->notes, e);
}

int openclaw_detect(const struct openclaw_conf *conf, struct openclaw *out,
                    struct buf *notes, struct error *e)
{
    struct looking l = {.conf = conf, .o = out, .notes = notes};
    const char *home = conf->home && *conf->home ? conf->home : getenv("HOME");
    int rc;

    *out = (struct openclaw){0};
    out->home = path_clean(home && home[0] == '/' ? home : "/root");
    rc = look(&l, e);
    if (l.has_unit)
        unit_fini(&l.unit);
    config_fini(&l.config);
    agents_fini(&l.agents);
    install_fini(&l.install);
    if (rc < 0)
        openclaw_fini(out);
    return rc;
}

void openclaw_fini(struct openclaw *o)
{
    free(o->state_dir);
    free(o->config_path);
    free(o->home);
    facts_fini(&o->facts);
    roots_free(o->memory);
    *o = (struct openclaw){0};
}

int openclaw_choose(struct openclaw *o, char *const *names, size_t count,
                    bool no_data, struct error *e)
{
    struct buf all = {0};
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        if (section_find(names[i]))
            continue;
        for (size_t k = 0; k < section_table_len; k++)
            buf_printf(&all, "%s%s", k ? ", " : "", section_table[k].name);
        rc = error_set(e, OCM_E_INVALID,
                       "there is no section '%.40s'; there are: %s", names[i],
                       buf_str(&all));
        buf_free(&all);
    }
    for (size_t i = 0; i < o->section_count && rc == 0; i++) {
        struct capture_section *s = &o->sections[i];
        bool wanted = count == 0;

        for (size_t k = 0; k < count; k++)
            wanted = wanted || strcmp(names[k], s->name) == 0;
        s->skipped = !wanted || (no_data && strcmp(s->area, "data") == 0);
    }
    return rc;
}
