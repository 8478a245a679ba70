/* SPDX-License-Identifier: MIT */
/* A copy of the swapped state from before OpenClaw's own upgrade of it.
 *
 *   swapped -> copy to <stage>/upgrade/state, on the disk -> "upgrade" line
 *   -> the upgrade ...           back: live -> <stage>/found/upgraded,
 *                                      copy -> live; then as ever
 *
 * Without the line the copy may be cut short and nothing was upgraded; with
 * it, a copy that is gone has taken its place already. */
#include "agent/apply/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/apply/fault.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/process.h"
#include "common/base/text.h"

#define COPY_MS (60 * 60 * 1000)
#define STATE_LABEL "state" /* as target.c names that place */

static const struct swap_place *state_place(const struct swap *s)
{
    for (size_t i = 0; i < s->place_count; i++)
        if (strcmp(s->places[i].label, STATE_LABEL) == 0)
            return &s->places[i];
    return NULL;
}

static int sync_all(const char *path, struct error *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

    if (fd < 0 || syncfs(fd) < 0)
        rc = error_errno(e, "%s", path);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Every attribute, links and holes: what cp does best. */
static int copy_tree(const char *from, const char *to, struct error *e)
{
    const char *const argv[] = {"cp", "-a", "--", from, to, NULL};
    struct process_job job = {.argv = argv, .timeout_ms = COPY_MS};
    char text[200];
    int rc = process_run(&job, 1, NULL, e);

    if (rc == 0 && job.exit_code != 0) {
        process_job_text(&job, text, sizeof(text));
        rc = error_set(e, OCM_E_FAILED, "a copy of %s: %s", from, text);
    }
    process_job_fini(&job);
    return rc;
}

int swap_keep_state(struct swap *s, struct error *e)
{
    const struct swap_place *p = state_place(s);
    char *dir, *copy;
    int rc = 0;

    if (!p)
        return error_set(e, OCM_E_FAILED, "no state directory was swapped");
    dir = path_join(p->stage, "upgrade");
    copy = path_join(dir, STATE_LABEL);
    if (mkdir(dir, 0700) < 0)
        rc = error_errno(e, "%s", dir);
    if (rc == 0)
        rc = copy_tree(p->live, copy, e);
    apply_point();
    if (rc == 0)
        rc = sync_all(dir, e);
    if (rc == 0)
        rc = swap_log_mark(s, "upgrade", NULL, false, e);
    s->upgraded = rc == 0;
    free(dir);
    free(copy);
    return rc;
}

int swap_put_state_back(struct swap *s, struct error *e)
{
    const struct swap_place *p = state_place(s);
    char *copy, *aside;
    int rc = 0;

    if (!p)
        return error_set(e, OCM_E_DAMAGED, "the journal names no state");
    copy = path_join(p->stage, "upgrade/" STATE_LABEL);
    aside = path_join(p->stage, "found/upgraded");
    if (file_exists(copy)) {
        if (file_exists(p->live) && rename(p->live, aside) < 0)
            rc = error_errno(e, "%s", p->live);
        apply_point();
        if (rc == 0 && rename(copy, p->live) < 0)
            rc = error_errno(e, "putting back %s", p->live);
        apply_point();
        if (rc == 0)
            rc = dir_sync_of(p->live, e);
    }
    free(copy);
    free(aside);
    return rc;
}
