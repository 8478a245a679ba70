/* SPDX-License-Identifier: MIT */
/* Verify the repository, or all that one snapshot reaches. */
#include <stdlib.h>
#include <string.h>

#include "controller/jobs/kinds.h"
#include "controller/repo/repo.h"

#define VERIFY_MAX_FINDINGS 1000

static bool on_progress(void *arg, const struct repo_check_progress *p)
{
    struct job *j = arg;

    job_progress(j, p->packs_done, p->packs_total, p->bytes_done,
                 p->bytes_total, "");
    return !atomic_load(job_cancelled(j));
}

static json_t *findings(struct buf *text)
{
    json_t *list = json_array();
    char *line, *rest = buf_str(text);

    while ((line = strsep(&rest, "\n")) != NULL &&
           json_array_size(list) < VERIFY_MAX_FINDINGS) {
        if (*line)
            json_array_append_new(list, json_string(line));
    }
    return list;
}

static int run(struct job *j, const json_t *params, json_t *result,
               struct error *e)
{
    struct controller *c = job_context(j);
    const char *ref = json_string_value(json_object_get(params, "snapshot"));
    bool read_data = json_is_true(json_object_get(params, "read_data"));
    struct repo_check_report report = {0};
    struct snapshot snap;
    json_t *out;
    int rc = repo_lock(c->repo, false, e);

    if (rc < 0)
        return rc;
    rc = repo_refresh(c->repo, e);
    job_step(j, "verify");
    if (rc == 0 && ref && *ref) {
        rc = repo_snapshot_find(c->repo, NULL, ref, &snap, e);
        if (rc == 0) {
            rc = repo_verify_snapshot(c->repo, &snap.tree, on_progress, j,
                                      &report, e);
            snapshot_fini(&snap);
        }
    } else if (rc == 0) {
        rc = repo_check(c->repo, read_data, on_progress, j, &report, e);
    }
    repo_unlock(c->repo);
    if (rc == 0) {
        out = json_pack(
            "{s:I,s:I,s:I,s:I,s:I,s:o}", "packs", (json_int_t)report.packs,
            "blobs", (json_int_t)report.blobs, "snapshots",
            (json_int_t)report.snapshots, "bytes", (json_int_t)report.bytes,
            "errors", (json_int_t)report.errors, "findings",
            findings(&report.text));
        json_object_update(result, out);
        json_decref(out);
        if (report.errors)
            rc = error_set(e, OCM_E_DAMAGED, "%llu problems found",
                           (unsigned long long)report.errors);
    }
    buf_free(&report.text);
    return rc;
}

const struct job_kind job_verify = {.name = "verify", .run = run};
