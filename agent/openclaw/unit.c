/* SPDX-License-Identifier: MIT */
/* Units from their files: the unit, then its drop-ins by name; of repeated
 * settings the last one counts, and an EnvironmentFile beats Environment. */
#include "agent/openclaw/unit.h"

#include <dirent.h>
#include <fnmatch.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define UNIT_FILE_MAX (1024u * 1024)

static const char *const default_dirs[] = {
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    NULL,
};
const char *const *unit_system_dirs = default_dirs;

/* In the order they are preferred. */
static const char *const known_names[] = {
    "openclaw-gateway.service",   "openclaw-gateway-*.service",
    "openclaw.service",           "clawdbot-gateway.service",
    "clawdbot-gateway-*.service", "moltbot-gateway.service",
    "moltbot-gateway-*.service",
};

/* A file's settings while the files are read one after another. */
struct reading {
    struct unit *u;
    bool has_exec; /* this file names ExecStart: it replaces earlier ones */
    struct env_var *set; /* Environment=, in order */
    size_t set_count, set_cap;
    char **files; /* EnvironmentFile=, in order */
    size_t file_count, file_cap;
};

char *path_of_user(const char *path, const char *home)
{
    char *joined, *clean;

    while (*path == ' ' || *path == '\t')
        path++;
    if (path[0] == '~' && (path[1] == '/' || !path[1]))
        joined = path_join(home, path[1] ? path + 2 : "");
    else if (path[0] == '/')
        joined = mem_strdup(path);
    else
        joined = path_join(home, path);
    clean = path_clean(joined);
    free(joined);
    return clean ? clean : mem_strdup("/");
}

/* %h is the only specifier that paths of gateways use. */
static char *with_home(const char *text, const char *home)
{
    struct buf out = {0};

    for (; *text; text++) {
        if (text[0] == '%' && text[1] == 'h') {
            buf_add_str(&out, home);
            text++;
        } else {
            buf_add_byte(&out, (uint8_t)*text);
        }
    }
    buf_str(&out);
    return (char *)out.data;
}

static void clear_words(struct unit *u)
{
    for (size_t i = 0; i < u->word_count; i++)
        free(u->words[i]);
    free(u->words);
    u->words = NULL;
    u->word_count = 0;
}

static void add_word(struct reading *r, const char *text)
{
    struct unit *u = r->u;

    if (!r->has_exec)
        clear_words(u);
    r->has_exec = true;
    if (u->word_count == UNIT_MAX_WORDS)
        return;
    if (u->word_count == 0)
        text += strspn(text, "@-:+!"); /* prefixes of the program */
    u->words = mem_realloc(u->words, (u->word_count + 1) * sizeof(char *));
    u->words[u->word_count++] = with_home(text, u->home);
}

static void add_file(struct reading *r, const char *text)
{
    char *name;

    if (*text == '-')
        text++;
    if (!*text || r->file_count >= UNIT_MAX_DROPINS)
        return;
    name = with_home(text, r->u->home);
    r->files =
        mem_grow(r->files, &r->file_cap, r->file_count + 1, sizeof(*r->files));
    r->files[r->file_count++] = path_of_user(name, r->u->home);
    free(name);
}

static int on_setting(void *arg, struct doc *d, const struct doc_value *v)
{
    struct reading *r = arg;

    (void)d;
    if (v->type != DOC_STRING)
        return 0;
    if (text_has_prefix(v->path, "Service.ExecStart[")) {
        add_word(r, v->text);
    } else if (text_has_prefix(v->path, "Service.EnvironmentFile")) {
        add_file(r, v->text);
    } else if (text_has_prefix(v->path, "Service.User[")) {
        free(r->u->user);
        r->u->user = mem_strdup(v->text);
    } else if (text_has_prefix(v->path, "Service.Environment[") && v->key) {
        r->set =
            mem_grow(r->set, &r->set_cap, r->set_count + 1, sizeof(*r->set));
        r->set[r->set_count++] = (struct env_var){
            .name = mem_strdup(v->key),
            .value = with_home(v->text, r->u->home),
        };
    }
    return 0;
}

static bool read_file(struct reading *r, const char *path)
{
    struct buf text = {0};
    struct doc *doc = NULL;
    bool ok = file_read(path, UNIT_FILE_MAX, &text, NULL) == 0 &&
              doc_parse(DOC_UNIT, text.data, text.len, &doc, NULL) == 0;

    r->has_exec = false;
    if (ok)
        doc_each(doc, on_setting, r);
    doc_free(doc);
    buf_wipe(&text);
    return ok;
}

static int is_dropin(const struct dirent *d)
{
    return text_has_suffix(d->d_name, ".conf");
}

static void read_dropins(struct reading *r)
{
    struct dirent **list;
    int n = scandir(r->u->dir, &list, is_dropin, alphasort);

    for (int i = 0; i < n; i++) {
        char *path = path_join(r->u->dir, list[i]->d_name);

        if (i < UNIT_MAX_DROPINS)
            read_file(r, path);
        free(path);
        free(list[i]);
    }
    if (n >= 0)
        free(list);
}

/* env_add keeps the first of a name, so the strongest source goes first. */
static void settle_env(struct reading *r)
{
    for (size_t i = r->file_count; i-- > 0;) {
        env_add_file(&r->u->env, r->files[i], DOC_ENV_SYSTEMD, NULL);
        free(r->files[i]);
    }
    for (size_t i = r->set_count; i-- > 0;)
        env_add(&r->u->env, r->set[i].name, r->set[i].value);
    env_fini(&(struct env){.vars = r->set, .count = r->set_count});
    free(r->files);
}

static char *home_of(const char *user)
{
    char room[4096];
    struct passwd pw, *found = NULL;

    if (!user || getpwnam_r(user, &pw, room, sizeof(room), &found) != 0 ||
        !found)
        return mem_strdup("/root");
    return mem_strdup(found->pw_dir);
}

static bool unit_load(const char *dir, const char *name, bool system,
                      const char *home, struct unit *out)
{
    struct reading r = {.u = out};
    const char *value;
    bool ok;

    *out = (struct unit){
        .name = mem_strdup(name),
        .path = path_join(dir, name),
        .dir = mem_printf("%s/%s.d", dir, name),
        .system = system,
        .home = mem_strdup(home),
    };
    ok = read_file(&r, out->path);
    if (ok)
        read_dropins(&r);
    settle_env(&r);
    value = env_get(&out->env, "HOME");
    if (system || value) {
        free(out->home);
        out->home = value ? mem_strdup(value) : home_of(out->user);
    }
    if (!ok)
        unit_fini(out);
    return ok;
}

void unit_fini(struct unit *u)
{
    free(u->name);
    free(u->path);
    free(u->dir);
    free(u->user);
    free(u->home);
    clear_words(u);
    env_fini(&u->env);
    *u = (struct unit){0};
}

const char *word_option(char *const *words, size_t count, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < count; i++) {
        if (strncmp(words[i], name, len) != 0)
            continue;
        if (words[i][len] == '=')
            return words[i] + len + 1;
        if (!words[i][len] && i + 1 < count)
            return words[i + 1];
    }
    return NULL;
}

/* A legacy folder is used as long as the new one does not exist. */
static char *default_state_dir(const char *home)
{
    static const char *const names[] = {".openclaw", ".clawdbot", ".moltbot",
                                        ".moldbot"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path = path_join(home, names[i]);

        if (dir_exists(path))
            return path;
        free(path);
    }
    return path_join(home, names[0]);
}

static const char *either(const struct env *env, const char *a, const char *b)
{
    const char *v = env_get(env, a);

    return v && *v ? v : env_get(env, b);
}

char *state_dir_of(const struct env *env, const char *home, char *const *words,
                   size_t word_count)
{
    const char *dir = either(env, "OPENCLAW_STATE_DIR", "CLAWDBOT_STATE_DIR");
    const char *own_home = env_get(env, "OPENCLAW_HOME");
    const char *profile =
        words ? word_option(words, word_count, "--profile") : NULL;
    char *base, *path;

    if (dir && *dir)
        return path_of_user(dir, home);
    base = path_of_user(own_home && *own_home ? own_home : home, home);
    if (!profile)
        profile = env_get(env, "OPENCLAW_PROFILE");
    if (profile && *profile && strcasecmp(profile, "default") != 0 &&
        !strchr(profile, '/'))
        path = mem_printf("%s/.openclaw-%s", base, profile);
    else
        path = default_state_dir(base);
    free(base);
    return path;
}

static bool belongs(const struct unit *u, const char *home,
                    const char *state_dir)
{
    char *dir;
    bool same;

    if (!*state_dir)
        return !u->system || strcmp(u->home, home) == 0;
    dir = state_dir_of(&u->env, u->home, u->words, u->word_count);
    same = strcmp(dir, state_dir) == 0;
    free(dir);
    return same;
}

/* The first file of `dir` that fits `pattern` and belongs to the state. */
static bool find_in(const char *dir, const char *pattern, bool system,
                    const char *home, const char *state_dir, struct unit *out)
{
    struct dirent **list;
    int n = scandir(dir, &list, NULL, alphasort);
    bool found = false;

    for (int i = 0; i < n; i++) {
        const char *name = list[i]->d_name;

        if (!found && fnmatch(pattern, name, 0) == 0 &&
            unit_load(dir, name, system, home, out)) {
            found = !state_dir || belongs(out, home, state_dir);
            if (!found)
                unit_fini(out);
        }
        free(list[i]);
    }
    if (n >= 0)
        free(list);
    return found;
}

bool unit_find(const char *name, const char *home, const char *state_dir,
               struct unit *out)
{
    char *user_dir = path_join(home, ".config/systemd/user");
    char *full = text_has_suffix(name, ".service")
                     ? mem_strdup(name)
                     : mem_printf("%s.service", name);
    bool found = false;

    *out = (struct unit){0};
    for (size_t i = 0; i < ARRAY_LEN(known_names) && !found; i++) {
        const char *pattern = *name ? full : known_names[i];
        const char *state = *name ? NULL : state_dir;

        found = find_in(user_dir, pattern, false, home, state, out);
        for (size_t k = 0; unit_system_dirs[k] && !found; k++)
            found =
                find_in(unit_system_dirs[k], pattern, true, home, state, out);
        if (*name)
            break;
    }
    free(full);
    free(user_dir);
    return found;
}
