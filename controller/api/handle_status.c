/* SPDX-License-Identifier: MIT */
/* The controller itself: how it is, and what its people must keep. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/files.h"
#include "controller/api/handlers.h"
#include "controller/api/openapi.h"
#include "controller/api/shapes.h"
#include "controller/controller_conf.h"
#include "controller/nodes.h"

#define STATUS_JOBS 1000 /* the newest ones are counted */

static int count_nodes(struct controller *c, json_t **out, struct error *e)
{
    json_int_t total = 0, connected = 0, partial = 0, failed = 0, never = 0;
    struct node *nodes;
    size_t count;
    int rc = catalog_nodes(c->catalog, &nodes, &count, e);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        const struct node *n = &nodes[i];

        if (n->revoked)
            continue;
        total++;
        connected += nodes_connected(c->nodes, n->id);
        partial += strcmp(n->last_backup_state, "partial") == 0;
        failed += strcmp(n->last_backup_state, "failed") == 0;
        never += n->last_backup_ns == 0;
    }
    free(nodes);
    *out = json_pack("{s:I,s:I,s:I,s:I,s:I}", "total", total, "connected",
                     connected, "partial", partial, "failed", failed,
                     "never_backed_up", never);
    return 0;
}

static int count_jobs(struct controller *c, json_t **out, struct error *e)
{
    json_int_t queued = 0, running = 0;
    struct job_row *rows;
    size_t count;
    int rc = catalog_jobs(c->catalog, NULL, STATUS_JOBS, &rows, &count, e);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        queued += strcmp(rows[i].state, "queued") == 0;
        running += strcmp(rows[i].state, "running") == 0;
        job_row_fini(&rows[i]);
    }
    free(rows);
    *out = json_pack("{s:I,s:I}", "queued", queued, "running", running);
    return 0;
}

int get_status(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    json_t *nodes = NULL, *jobs = NULL;
    char id[ID_HEX_LEN + 1], address[300];
    bool advertised = join_address(c, address, sizeof(address));
    int rc = count_nodes(c, &nodes, e);

    if (rc == 0)
        rc = count_jobs(c, &jobs, e);
    if (rc < 0) {
        json_decref(nodes);
        return rc;
    }
    repo_id(c->repo, id);
    return request_reply(
        rq, 200,
        json_pack("{s:s,s:s,s:o,s:s,s:{s:s,s:b},s:o,s:o,s:{s:s,s:s,s:I}}",
                  "version", OCM_VERSION, "name", c->conf->name, "started",
                  shape_time(c->started_ns), "you", request_owner(rq), "join",
                  "address", address, "advertised", advertised, "nodes", nodes,
                  "jobs", jobs, "repository", "id", id, "path",
                  c->conf->repository, "free_bytes",
                  (json_int_t)disk_free(c->conf->repository)));
}

int get_kit(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    const char *repository = c->conf->repository;
    char id[ID_HEX_LEN + 1], host[256] = "";
    struct buf b = {0};
    int rc;

    (void)e;
    gethostname(host, sizeof(host) - 1);
    repo_id(c->repo, id);
    buf_printf(&b,
               "OCM emergency kit\n"
               "=================\n\n"
               "Keep a copy of this page AND of the password away from this "
               "machine.\nWithout the password nobody can read the backups, "
               "not even we.\n\n"
               "controller:     %s (%s)\n"
               "repository:     %s\n"
               "repository id:  %s\n"
               "password file:  %s\n"
               "own state:      %s (catalog.sqlite, ca/)\n\n",
               host, c->conf->name, repository, id, c->conf->password_file,
               c->conf->state_dir);
    buf_printf(&b,
               "The repository is a restic repository (format 2). On any "
               "machine with restic\nand without OCM:\n\n"
               "  export RESTIC_REPOSITORY=%s\n"
               "  export RESTIC_PASSWORD_FILE=%s\n\n"
               "  restic snapshots                  # one line per backup\n"
               "  restic check --read-data          # is all of it sound?\n"
               "  restic ls SNAPSHOT\n"
               "  restic restore SNAPSHOT --target DIR\n"
               "  cd DIR && sha256sum -c --quiet verify/SHA256SUMS\n\n"
               "Then, for each entry of \"roots\" in DIR/meta.json: DIR/<at> "
               "goes to <path> on\nthe node, with the gateway stopped.\n",
               repository, c->conf->password_file);
    rc = request_reply(rq, 200,
                       json_pack("{s:s,s:s,s:s,s:s}", "text", buf_str(&b),
                                 "repository", repository, "repository_id", id,
                                 "password_file", c->conf->password_file));
    buf_free(&b);
    return rc;
}

int get_openapi(struct request *rq, struct error *e)
{
    (void)e;
    return request_reply_bytes(rq, "application/json", openapi_json,
                               openapi_json_len);
}
