/* SPDX-License-Identifier: MIT */
/* Detection: home -> unit or running gateway -> state directory -> config ->
 * era -> installed program -> facts -> sections. Nothing is run, nothing is
 * written; what is odd becomes a note. */
#include "agent/openclaw/openclaw.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/openclaw/agents.h"
#include "agent/openclaw/control.h"
#include "agent/openclaw/cron.h"
#include "agent/openclaw/database.h"
#include "agent/openclaw/install.h"
#include "agent/openclaw/proc.h"
#include "agent/openclaw/roots.h"
#include "agent/openclaw/sections.h"
#include "agent/openclaw/unit.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define GATEWAY_DEFAULT_PORT 18789
#define YAML_DEFAULT_DIR "/www/server/openclaw"

/* What one detection gathers. */
struct looking {
    const struct openclaw_conf *conf;
    struct openclaw *o;
    struct buf *notes;
    struct unit unit;
    bool has_unit;
    struct proc gateway;
    bool running;
    struct config config;
    struct agents agents;
    struct install install;
};

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

static const char *era_name(enum openclaw_era era)
{
    static const char *const names[] = {
        [ERA_NONE] = NULL,       [ERA_FILES] = "files", [ERA_MIXED] = "mixed",
        [ERA_SQLITE] = "sqlite", [ERA_YAML] = "yaml",
    };

    return names[era];
}

/* ---- facts ---- */

static void set_number(struct facts *f, const char *key, int64_t n)
{
    char text[32];

    snprintf(text, sizeof(text), "%lld", (long long)n);
    facts_set(f, key, text);
}

static void set_text(struct facts *f, const char *key, const char *value)
{
    if (value && *value)
        facts_set(f, key, value);
}

static void set_os(struct facts *f)
{
    struct env release = {0};
    const char *name;

    env_add_file(&release, "/etc/os-release", DOC_ENV, NULL);
    name = env_get(&release, "PRETTY_NAME");
    facts_set(f, "host.os", name ? name : "Linux");
    env_fini(&release);
}

static void host_facts(struct looking *l)
{
    struct facts *f = &l->o->facts;
    struct passwd pw, *found = NULL;
    struct utsname u;
    struct stat st;
    char room[4096];
    uid_t uid = geteuid();

    uname(&u);
    facts_set(f, "host.name", u.nodename);
    facts_set(f, "host.arch", u.machine);
    set_os(f);
    if (stat(l->o->state_dir, &st) == 0 || stat(l->o->home, &st) == 0)
        uid = st.st_uid;
    set_number(f, "user.uid", uid);
    if (getpwuid_r(uid, &pw, room, sizeof(room), &found) == 0 && found)
        facts_set(f, "user.name", pw.pw_name);
    facts_set(f, "user.home", l->o->home);
}

static void program_facts(struct looking *l)
{
    struct facts *f = &l->o->facts;
    const struct install *i = &l->install;

    set_text(f, "openclaw.bin", i->bin);
    set_text(f, "openclaw.package", i->package);
    set_text(f, "openclaw.node", i->node);
    set_text(f, "openclaw.version", i->version);
    if (i->schema_state >= 0)
        set_number(f, "openclaw.schema.state", i->schema_state);
    if (i->schema_agent >= 0)
        set_number(f, "openclaw.schema.agent", i->schema_agent);
}

static void state_facts(struct looking *l)
{
    struct facts *f = &l->o->facts;
    char *db = path_join(l->o->state_dir, "state/openclaw.sqlite");
    int64_t schema = database_schema(db);

    facts_set(f, "state.dir", l->o->state_dir);
    facts_set(f, "state.config", l->o->config_path);
    set_text(f, "state.era", era_name(l->o->era));
    if (schema >= 0)
        set_number(f, "state.schema", schema);
    free(db);
}

/* The service's command line beats the environment beats the config. */
static int64_t gateway_port(const struct looking *l)
{
    const char *const keys[] = {"gateway.port", "server.port", "port"};
    const char *text = NULL;
    int64_t port;

    if (l->has_unit)
        text = word_option(l->unit.words, l->unit.word_count, "--port");
    if (!text)
        text = env_get(&l->config.env, "OPENCLAW_GATEWAY_PORT");
    if (text && text_to_i64(text, 1, 65535, &port))
        return port;
    for (size_t i = 0; i < (l->o->era == ERA_YAML ? ARRAY_LEN(keys) : 1); i++) {
        if (config_number(&l->config, keys[i], &port) && port > 0 &&
            port < 65536)
            return port;
    }
    return GATEWAY_DEFAULT_PORT;
}

static void token_fact(struct looking *l)
{
    const char *const keys[] = {"gateway.auth.token", "gateway.token",
                                "auth.token", "token"};
    const char *env = env_get(&l->config.env, "OPENCLAW_GATEWAY_TOKEN");
    char *token = NULL;

    for (size_t i = 0;
         !token && i < (l->o->era == ERA_YAML ? ARRAY_LEN(keys) : 1); i++)
        token = config_string(&l->config, keys[i]);
    if (token && *token && !strstr(token, "${"))
        facts_set_secret(&l->o->facts, "gateway.token", token);
    else if (env && *env)
        facts_set_secret(&l->o->facts, "gateway.token", env);
    free(token);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void channel_fact(struct looking *l)
{
    const json_t *all = config_get(&l->config, "channels");
    const char *key, *names[256];
    struct buf text = {0};
    size_t count = 0;
    json_t *channel;

    json_object_foreach((json_t *)all, key, channel)
    {
        if (json_is_object(channel) && strcmp(key, "defaults") != 0 &&
            !json_is_false(json_object_get(channel, "enabled")) &&
            count < ARRAY_LEN(names))
            names[count++] = key;
    }
    qsort(names, count, sizeof(names[0]), by_text);
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%s%s", i ? "," : "", names[i]);
    if (l->config.root)
        facts_set(&l->o->facts, "channels.enabled", buf_str(&text));
    buf_free(&text);
}

static void gateway_facts(struct looking *l)
{
    struct facts *f = &l->o->facts;
    char *bind = config_string(&l->config, "gateway.bind");

    set_number(f, "gateway.port", gateway_port(l));
    facts_set(f, "gateway.bind", bind && *bind ? bind : "loopback");
    free(bind);
    token_fact(l);
    channel_fact(l);
    facts_set(
        f, "gateway.control",
        control_name(control_choose(l->conf, l->has_unit ? &l->unit : NULL)));
    if (l->has_unit)
        facts_set(f, "gateway.unit", l->unit.name);
    facts_set(f, "gateway.running", l->running ? "yes" : "no");
}

static void agent_facts(struct looking *l)
{
    for (size_t i = 0; i < l->agents.count; i++) {
        const struct agent_place *p = &l->agents.items[i];
        char *key = mem_printf("agent.%s.workspace", p->id);

        facts_set(&l->o->facts, key, p->workspace);
        free(key);
        key = mem_printf("agent.%s.dir", p->id);
        facts_set(&l->o->facts, key, p->dir);
        free(key);
    }
}

static void layout_facts(struct looking *l)
{
    const struct conf_list *x = l->conf->extra;

    for (size_t i = 0; x && i < x->count; i++) {
        const char *eq = strchr(x->items[i], '=');
        char *path = eq ? path_clean(eq + 1) : NULL;
        char *key;

        if (path) {
            key =
                mem_printf("layout.%.*s", (int)(eq - x->items[i]), x->items[i]);
            facts_set(&l->o->facts, key, path);
            free(key);
        }
        free(path);
    }
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
    set_text(&l->o->facts, "state.version", version);
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

    host_facts(l);
    program_facts(l);
    state_facts(l);
    layout_facts(l);
    gateway_facts(l);
    if (o->era != ERA_NONE) {
        agent_facts(l);
        jobs = cron_count(o->state_dir, o->era, &l->config, l->notes);
        if (jobs >= 0)
            set_number(&o->facts, "cron.jobs", jobs);
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
