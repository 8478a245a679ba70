/* SPDX-License-Identifier: MIT */
/* node upgrade: packages go to the controller, a job brings them to nodes. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/cli/cli_internal.h"

#define SUFFIX ".package"
/* where the packages of a release are installed, beside the agents */
#define RELEASE_DIR "/usr/lib/ocm/agents"
#define CANARY_MAX 1000

void upgrade_show(struct cli *c, const json_t *result)
{
    static const char *const heads[] = {"NODE", "AGENT", "NEW", "STATE",
                                        "REMARKS"};
    struct table *t = table_new(heads, ARRAY_LEN(heads));
    const json_t *n;
    size_t i;

    json_array_foreach(json_object_get(result, "nodes"), i, n)
    {
        const char *state = text_of(n, "state");
        bool good = strcmp(state, "upgraded") == 0;
        bool bad =
            strcmp(state, "failed") == 0 || strcmp(state, "put-back") == 0;

        table_cell(t, TONE_BOLD, text_of(n, "node"));
        table_cell(t, TONE_NONE, text_of(n, "from"));
        table_cell(t, TONE_NONE, text_of(n, "to"));
        table_cell(t, good ? TONE_GOOD : bad ? TONE_BAD : TONE_WARN, state);
        table_cell(t, TONE_DIM, text_of(n, "text"));
    }
    table_give(c, t);
}

/* One package to the controller; its id goes to `ids`. */
static int give_package(struct cli *c, const char *path, json_t *ids)
{
    FILE *file = fopen(path, "rbe");
    struct stat st;
    json_t *doc;
    int code = 0;

    if (!file || fstat(fileno(file), &st) < 0 || !S_ISREG(st.st_mode)) {
        complain(c, "%s: %s", path,
                 file ? "not a regular file" : strerror(errno));
        if (file)
            fclose(file);
        return CLI_EXIT_FAILED;
    }
    doc = client_upload(c, &code, "/api/v1/packages", file, st.st_size);
    fclose(file);
    if (!doc)
        return code;
    say(c, "%s: agent %s for %s", path, safe(text_of(doc, "version")),
        safe(text_of(doc, "arch")));
    json_array_append(ids, json_object_get(doc, "package"));
    json_decref(doc);
    return 0;
}

/* ---- which packages ---- */

struct packages {
    char **paths; /* owned */
    size_t count, cap;
};

static void add_package(struct packages *p, char *path)
{
    p->paths = mem_grow(p->paths, &p->cap, p->count + 1, sizeof(*p->paths));
    p->paths[p->count++] = path;
}

static void packages_fini(struct packages *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->paths[i]);
    free(p->paths);
}

static int look_in_folder(struct cli *c, const char *path, struct packages *p)
{
    struct dirent **list;
    int n = scandir(path, &list, NULL, alphasort);

    if (n < 0) {
        complain(c, "%s: %s", path, strerror(errno));
        return CLI_EXIT_FAILED;
    }
    for (int i = 0; i < n; i++) {
        if (text_has_suffix(list[i]->d_name, SUFFIX))
            add_package(p, path_join(path, list[i]->d_name));
        free(list[i]);
    }
    free(list);
    return 0;
}

/* Without --from: those of the installed release, if there are any; else what
 * the controller keeps. */
static int find_packages(struct cli *c, struct packages *p)
{
    const char *from = arg_option(c, "from");
    int code = 0;

    if (!from)
        return dir_exists(RELEASE_DIR) ? look_in_folder(c, RELEASE_DIR, p) : 0;
    if (dir_exists(from))
        code = look_in_folder(c, from, p);
    else
        add_package(p, mem_strdup(from));
    if (code == 0 && p->count == 0) {
        complain(c, "%s: no *" SUFFIX " is there; ocm-release-sign makes them",
                 from);
        code = CLI_EXIT_FAILED;
    }
    return code;
}

/* ---- the job ---- */

static json_t *body_of(struct cli *c, json_t *ids, int64_t canary)
{
    json_t *body = json_pack("{s:I}", "canary", (json_int_t)canary), *nodes;

    if (arg_flag(c, "all")) {
        json_object_set_new(body, "all", json_true());
    } else {
        nodes = json_array();
        for (int i = 0; i < c->arg_count; i++)
            json_array_append_new(nodes, json_string(c->args[i]));
        json_object_set_new(body, "nodes", nodes);
    }
    if (json_array_size(ids) > 0)
        json_object_set(body, "packages", ids);
    if (arg_flag(c, "allow-downgrade"))
        json_object_set_new(body, "allow_downgrade", json_true());
    return body;
}

static int wait_for_upgrade(struct cli *c, const char *id,
                            const struct packages *p)
{
    json_t *job = NULL;
    const json_t *result;
    int code = watch_job(c, id, "upgrade", &job);

    if (!job)
        return code;
    result = json_object_get(job, "result");
    if (c->json)
        give_job(c, job);
    else if (json_is_object(result))
        upgrade_show(c, result);
    code = exit_of_job(c, job);
    if (code == CLI_EXIT_PARTIAL && arg_flag(c, "ssh"))
        code = upgrade_by_ssh(c, result, p->paths, p->count);
    json_decref(job);
    return code;
}

static int start_upgrade(struct cli *c, const struct packages *p,
                         int64_t canary)
{
    json_t *ids = json_array(), *doc = NULL;
    int code = 0;

    for (size_t i = 0; i < p->count && code == 0; i++)
        code = give_package(c, p->paths[i], ids);
    if (code == 0)
        doc = client_send(c, &code, "POST", body_of(c, ids, canary),
                          "/api/v1/upgrades");
    json_decref(ids);
    if (!doc)
        return code;
    if (!arg_flag(c, "detach"))
        code = wait_for_upgrade(c, text_of(doc, "job"), p);
    else if (c->json)
        give_json(c, doc);
    else
        fprintf(c->io->out, "%s\n", safe(text_of(doc, "job")));
    json_decref(doc);
    return code;
}

int cmd_node_upgrade(struct cli *c)
{
    const char *canary = arg_option(c, "canary");
    struct packages p = {0};
    int64_t first = 1;
    int code;

    if (arg_flag(c, "all") == (c->arg_count > 0))
        return usage_error(c, "name the nodes, or give --all");
    if (canary && !text_to_i64(canary, 0, CANARY_MAX, &first))
        return usage_error(c, "--canary must be from 0 to %d", CANARY_MAX);
    if (arg_flag(c, "ssh") && (c->json || arg_flag(c, "detach")))
        return usage_error(c, "--ssh may ask: not with --json or --detach");
    code = find_packages(c, &p);
    if (code == 0)
        code = start_upgrade(c, &p, first);
    packages_fini(&p);
    return code;
}
