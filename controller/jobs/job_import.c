/* SPDX-License-Identifier: MIT */
/* The kind "import": an uploaded archive becomes a snapshot; its file goes
 * away in every case. */
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "controller/controller.h"
#include "controller/jobs/archive_import.h"
#include "controller/jobs/job.h"

char *path_of_imports(const char *state_dir)
{
    return mem_printf("%s/imports", state_dir);
}

static void tell_progress(void *arg, uint64_t files, uint64_t bytes,
                          uint64_t total, const char *current)
{
    job_progress(arg, files, 0, bytes, total, current);
}

static int run_import(struct job *j, const json_t *params, json_t *result,
                      struct error *e)
{
    struct controller *c = job_context(j);
    const char *path = json_string_value(json_object_get(params, "file"));
    struct import_options o = {
        .repo = c->repo,
        .path = path,
        .node_name = json_string_value(json_object_get(params, "node")),
        .node_id = json_string_value(json_object_get(params, "node_id")),
        .job = job_id(j),
        .cancelled = job_cancelled(j),
        .on_progress = tell_progress,
        .arg = j,
    };
    int rc;

    if (!path || !o.node_name || !o.node_id)
        return error_set(e, OCM_E_INVALID, "node, node_id and file are wanted");
    rc = repo_lock(c->repo, false, e);
    if (rc == 0) {
        job_step(j, "import");
        rc = repo_refresh(c->repo, e);
        if (rc == 0)
            rc = archive_import(&o, result, e);
        repo_unlock(c->repo);
    }
    unlink(path);
    return rc;
}

const struct job_kind job_import = {"import", run_import};
