/* SPDX-License-Identifier: MIT */
/* Facts of a node from what its detection found. */
#include "agent/openclaw/detect_internal.h"

#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/openclaw/control.h"
#include "agent/openclaw/database.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define GATEWAY_DEFAULT_PORT 18789
#define PROJECT_MAX (256u * 1024) /* a plugin's package.json */

static const char *era_name(enum openclaw_era era)
{
    static const char *const names[] = {
        [ERA_NONE] = NULL,       [ERA_FILES] = "files", [ERA_MIXED] = "mixed",
        [ERA_SQLITE] = "sqlite", [ERA_YAML] = "yaml",
    };

    return names[era];
}

void detect_set_number(struct facts *f, const char *key, int64_t n)
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
    detect_set_number(f, "user.uid", uid);
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
        detect_set_number(f, "openclaw.schema.state", i->schema_state);
    if (i->schema_agent >= 0)
        detect_set_number(f, "openclaw.schema.agent", i->schema_agent);
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
        detect_set_number(f, "state.schema", schema);
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

/* What a plugin's own npm project depends on: the package of the plugin. */
static void add_plugins(const char *project, struct buf *out)
{
    struct buf text = {0};
    json_t *j = NULL, *version;
    const char *name;

    if (file_read(project, PROJECT_MAX, &text, NULL) == 0)
        j = json_loadb((char *)text.data, text.len, 0, NULL);
    json_object_foreach(json_object_get(j, "dependencies"), name, version)
        buf_printf(out, "%s%s", out->len ? "," : "", name);
    json_decref(j);
    buf_free(&text);
}

/* Their folders are rebuilt by npm and in no backup. */
static void plugin_facts(struct looking *l)
{
    char *pattern = path_join(l->o->state_dir, "npm/projects/*/package.json");
    struct buf names = {0};
    glob_t g = {0};

    if (glob(pattern, 0, NULL, &g) == 0)
        for (size_t i = 0; i < g.gl_pathc; i++)
            add_plugins(g.gl_pathv[i], &names);
    if (names.len)
        facts_set(&l->o->facts, "plugins.npm", buf_str(&names));
    globfree(&g);
    buf_free(&names);
    free(pattern);
}

static void gateway_facts(struct looking *l)
{
    struct facts *f = &l->o->facts;
    char *bind = config_string(&l->config, "gateway.bind");

    detect_set_number(f, "gateway.port", gateway_port(l));
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

void detect_facts(struct looking *l)
{
    host_facts(l);
    program_facts(l);
    state_facts(l);
    layout_facts(l);
    gateway_facts(l);
    plugin_facts(l);
    if (l->o->era != ERA_NONE)
        agent_facts(l);
}
