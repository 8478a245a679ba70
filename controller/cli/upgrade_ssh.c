/* SPDX-License-Identifier: MIT */
/* node upgrade --ssh: what could not be reached over the connection is reached
 * as `ocmctl node add` did it once. The packages are taken apart into a folder
 * of agents, as that wants them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/release/manifest.h"
#include "controller/cli/cli_internal.h"

#define PACKAGE_MAX (RELEASE_MAX_BYTES + MANIFEST_MAX)
#define FIXED_ARGS 10

/* ocm-agent-<arch> of one package, and its line of SHA256SUMS. */
static int take_apart(const char *package, const char *dir, struct buf *sums,
                      struct error *e)
{
    struct buf b = {0};
    struct manifest m;
    char sum[ID_HEX_LEN + 1], *path;
    size_t head;
    int rc = file_read(package, PACKAGE_MAX, &b, e);

    if (rc == 0) {
        head = manifest_length(b.data, b.len);
        rc = manifest_parse(b.data, head, &m, e);
        if (rc < 0)
            error_prefix(e, "%s", package);
    }
    if (rc == 0) {
        path = mem_printf("%s/ocm-agent-%s", dir, m.arch);
        rc = file_write(path, b.data + head, b.len - head, 0755, e);
        free(path);
        id_hex(&m.sha256, sum);
        buf_printf(sums, "%s  ocm-agent-%s\n", sum, m.arch);
    }
    buf_free(&b);
    return rc;
}

static int make_agents(char *const *packages, size_t count, const char *dir,
                       struct error *e)
{
    char *path = mem_printf("%s/SHA256SUMS", dir);
    struct buf sums = {0};
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++)
        rc = take_apart(packages[i], dir, &sums, e);
    if (rc == 0)
        rc = file_write(path, sums.data, sums.len, 0644, e);
    buf_free(&sums);
    free(path);
    return rc;
}

/* `node add` knows how a node was reached only when it put the agent there. */
static bool was_added(struct cli *c, const char *node)
{
    char *name = client_escape(node);
    int code = 0;
    json_t *doc = client_get(c, &code, "/api/v1/nodes/%s/connection", name);

    free(name);
    json_decref(doc);
    return doc != NULL;
}

/* This program again, on the same terminal: ssh may have questions. */
static int run_add(struct cli *c, const char *dir, const json_t *names)
{
    size_t count = json_array_size(names), n = 0;
    const char **argv = mem_array(count + FIXED_ARGS, sizeof(*argv));
    int status = 0;
    pid_t child;

    argv[n++] = "ocmctl";
    argv[n++] = "--socket";
    argv[n++] = c->socket;
    argv[n++] = "node";
    argv[n++] = "add";
    argv[n++] = "--no-backup";
    if (dir) {
        argv[n++] = "--agent-dir";
        argv[n++] = dir;
    }
    if (arg_flag(c, "yes"))
        argv[n++] = "--yes";
    for (size_t i = 0; i < count; i++)
        argv[n++] = json_string_value(json_array_get(names, i));
    fflush(NULL);
    child = fork();
    if (child == 0) {
        execv("/proc/self/exe", (char *const *)argv);
        _exit(127);
    }
    free(argv);
    if (child < 0) {
        complain(c, "%s", strerror(errno));
        return CLI_EXIT_FAILED;
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : CLI_EXIT_FAILED;
}

static json_t *out_of_reach(struct cli *c, const json_t *result)
{
    json_t *names = json_array();
    const json_t *n;
    size_t i;

    json_array_foreach(json_object_get(result, "nodes"), i, n)
    {
        const char *state = text_of(n, "state");

        if (strcmp(state, "away") != 0 && strcmp(state, "too-old") != 0)
            continue;
        if (was_added(c, text_of(n, "node")))
            json_array_append_new(names, json_string(text_of(n, "node")));
        else
            say(c, "%s was not added by SSH: ocmctl node add USER@HOST",
                safe(text_of(n, "node")));
    }
    return names;
}

int upgrade_by_ssh(struct cli *c, const json_t *result, char *const *packages,
                   size_t count)
{
    char dir[] = "/tmp/ocm-agents-XXXXXX";
    json_t *names = out_of_reach(c, result);
    struct error e = {0};
    int code = CLI_EXIT_FAILED;

    if (json_array_size(names) == 0) {
        code = CLI_EXIT_PARTIAL;
    } else if (count == 0) {
        code = run_add(c, NULL, names);
    } else if (!mkdtemp(dir)) {
        complain(c, "%s: %s", dir, strerror(errno));
    } else {
        if (make_agents(packages, count, dir, &e) < 0)
            complain(c, "%s", e.text);
        else
            code = run_add(c, dir, names);
        tree_remove(dir, NULL);
    }
    json_decref(names);
    return code;
}
