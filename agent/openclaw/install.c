/* SPDX-License-Identifier: MIT */
/* From a command to its package: follow links, then look upwards for a
 * package.json that says "openclaw". */
#include "agent/openclaw/install.h"

#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define PACKAGE_JSON_MAX (1024u * 1024)
#define PACKAGE_LEVELS 5 /* how far above a command its package may be */

static json_t *read_json(const char *path)
{
    struct buf text = {0};
    json_t *j = NULL;

    if (file_read(path, PACKAGE_JSON_MAX, &text, NULL) == 0)
        j = json_loadb((char *)text.data, text.len, 0, NULL);
    buf_free(&text);
    return j;
}

/* Is `dir` the package? Then take it and what its package.json says. */
static bool take_package(const char *dir, struct install *out)
{
    char *path = path_join(dir, "package.json");
    json_t *j = read_json(path), *v;
    const char *name = json_string_value(json_object_get(j, "name"));
    bool ok = name && strcmp(name, "openclaw") == 0;

    free(path);
    if (ok) {
        out->package = mem_strdup(dir);
        out->version =
            mem_strdup(json_string_value(json_object_get(j, "version")));
        v = json_object_get(json_object_get(j, "openclaw"), "schemaVersions");
        if (json_is_integer(json_object_get(v, "state")))
            out->schema_state = json_integer_value(json_object_get(v, "state"));
        if (json_is_integer(json_object_get(v, "agent")))
            out->schema_agent = json_integer_value(json_object_get(v, "agent"));
    }
    json_decref(j);
    return ok;
}

/* The package of a command: its own folder or one above it, or what a folder
 * above it holds in node_modules. */
static bool package_of(const char *bin, struct install *out)
{
    static const char *const below[] = {"", "node_modules/openclaw",
                                        "lib/node_modules/openclaw"};
    char *real = realpath(bin, NULL);
    bool found = false;

    for (int level = 0; real && level < PACKAGE_LEVELS && !found; level++) {
        char *slash = strrchr(real, '/');

        if (!slash || slash == real)
            break;
        *slash = 0;
        for (size_t i = 0; i < ARRAY_LEN(below) && !found; i++) {
            char *dir = path_join(real, below[i]);

            found = take_package(dir, out);
            free(dir);
        }
    }
    free(real);
    return found;
}

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0 && !dir_exists(path);
}

/* First `name` in a PATH text, or NULL. */
static char *find_in_path(const char *path, const char *name)
{
    while (path && *path) {
        size_t len = strcspn(path, ":");
        char *candidate = mem_printf("%.*s/%s", (int)len, path, name);

        if (path[0] == '/' && is_program(candidate))
            return candidate;
        free(candidate);
        path += len + (path[len] == ':');
    }
    return NULL;
}

static char *find_in_usual_places(const char *home, const char *name)
{
    static const char *const folders[] = {
        ".npm-global/bin",
        ".local/bin",
        "bin",
        ".local/share/pnpm",
        ".bun/bin",
        ".volta/bin",
        ".nvm/versions/node/*/bin",
        ".local/share/fnm/node-versions/*/installation/bin",
    };
    char *found = NULL;

    for (size_t i = 0; i < ARRAY_LEN(folders) && !found; i++) {
        char *pattern = mem_printf("%s/%s/%s", home, folders[i], name);
        glob_t g = {0};

        if (glob(pattern, 0, NULL, &g) == 0) {
            /* from the end: roughly the newest of several Node versions */
            for (size_t k = g.gl_pathc; k-- > 0 && !found;) {
                if (is_program(g.gl_pathv[k]))
                    found = mem_strdup(g.gl_pathv[k]);
            }
        }
        globfree(&g);
        free(pattern);
    }
    if (!found)
        found = find_in_path("/usr/local/bin:/usr/bin:/bin:/opt/openclaw/bin:"
                             "/snap/bin:/home/linuxbrew/.linuxbrew/bin",
                             name);
    return found;
}

/* What the unit runs: "<node> [options] <package>/dist/index.js gateway ..."
 * or the command itself. */
static void from_unit(const struct unit *u, struct install *out)
{
    for (size_t i = 0; i < u->word_count && i < 6; i++) {
        const char *word = u->words[i];
        const char *base = strrchr(word, '/');

        if (!base)
            continue;
        base++;
        if (i == 0 && (text_has_prefix(base, "node") || !strcmp(base, "bun")))
            out->node = mem_strdup(word);
        else if (package_of(word, out))
            break;
    }
}

/* The command that belongs to the package. */
static char *command_of(const struct install *i)
{
    char *bin = path_join(i->package, "openclaw.mjs");

    if (!is_program(bin)) {
        free(bin);
        bin = NULL;
    }
    return bin;
}

static char *find_command(const char *conf_bin, const struct unit *u,
                          const char *home)
{
    char *bin;

    if (*conf_bin)
        return is_program(conf_bin) ? mem_strdup(conf_bin) : NULL;
    bin = find_in_path(u ? env_get(&u->env, "PATH") : NULL, "openclaw");
    if (!bin)
        bin = find_in_path(getenv("PATH"), "openclaw");
    if (!bin)
        bin = find_in_usual_places(home, "openclaw");
    return bin;
}

static char *find_node(const char *bin, const struct unit *u, const char *home)
{
    char *real = realpath(bin, NULL), *node = NULL;
    const char *const starts[] = {bin, real};

    /* beside the command, as given or behind its link */
    for (size_t i = 0; i < ARRAY_LEN(starts) && !node; i++) {
        const char *slash = starts[i] ? strrchr(starts[i], '/') : NULL;

        if (!slash)
            continue;
        node = mem_printf("%.*s/node", (int)(slash - starts[i]), starts[i]);
        if (!is_program(node)) {
            free(node);
            node = NULL;
        }
    }
    free(real);
    if (!node)
        node = find_in_path(u ? env_get(&u->env, "PATH") : NULL, "node");
    if (!node)
        node = find_in_path(getenv("PATH"), "node");
    return node ? node : find_in_usual_places(home, "node");
}

/* The user's own first: the system's may be too old for OpenClaw. */
char *install_program(const char *home, const char *name)
{
    char *found = find_in_usual_places(home, name);

    return found ? found : find_in_path(getenv("PATH"), name);
}

void install_find(const char *bin, const struct unit *u, const char *home,
                  struct install *out)
{
    struct install other = {.schema_state = -1, .schema_agent = -1};

    *out = other;
    if (u && !*bin)
        from_unit(u, out);
    out->bin = find_command(bin, u, home);
    if (out->bin && out->package) {
        /* `openclaw` of the PATH may be another installation */
        package_of(out->bin, &other);
        if (!other.package || strcmp(other.package, out->package) != 0) {
            char *own = command_of(out);

            if (own) {
                free(out->bin);
                out->bin = own;
            }
        }
        install_fini(&other);
    } else if (out->bin) {
        package_of(out->bin, out);
    } else if (out->package) {
        out->bin = command_of(out);
    }
    if (out->bin && !out->node)
        out->node = find_node(out->bin, u, home);
}

void install_fini(struct install *i)
{
    free(i->bin);
    free(i->package);
    free(i->node);
    free(i->version);
    *i = (struct install){0};
}
