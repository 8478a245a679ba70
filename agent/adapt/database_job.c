/* SPDX-License-Identifier: MIT */
/* Both ends of the database helper. */
#include "agent/adapt/database_job.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/adapt/database_helper.h"
#include "agent/adapt/state_db.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/process.h"
#include "common/base/sandbox.h"

#define REQUEST_MAX (16u * 1024 * 1024)
#define ANSWER_MAX (128u * 1024 * 1024)
#define HELPER_MEMORY (1536ull * 1024 * 1024) /* with a row of 512 MiB */
#define HELPER_CPU_S 900
#define FILE_SLACK (64ull * 1024 * 1024)
#define WORDS_MAX 2000 /* of a helper that failed, for the log */

/* staged_db.h stops itself before */
int64_t database_helper_ms = 11 * 60 * 1000;

int database_work(struct adapt *a, const struct adapt_file *f, const char *own,
                  struct error *e)
{
    struct staged_db db;
    int rc;

    if (f->kind == KIND_STATE_DB)
        return state_db_edit(a, f, own, e);
    rc = staged_db_open(&db, f->staged, f->at, false, e);
    if (rc == 0)
        staged_db_close(&db);
    return rc;
}

/* ---- the agent's end ---- */

static int say_how_it_ended(const struct adapt_file *f, struct process_job *job,
                            struct error *e)
{
    char words[WORDS_MAX];

    process_job_text(job, words, sizeof(words));
    if (*words)
        log_warn("database helper file=%s: %s", f->at, words);
    if (job->rc == OCM_E_TIMEOUT || job->rc == OCM_E_LIMIT)
        return error_set(e, OCM_E_DAMAGED,
                         "%s: reading it takes more %s than any database of "
                         "OpenClaw's; it was given up",
                         f->at, job->rc == OCM_E_TIMEOUT ? "time" : "room");
    if (job->exit_code > 128)
        return error_set(e, OCM_E_DAMAGED,
                         "%s: the process that reads it crashed (signal %d)",
                         f->at, job->exit_code - 128);
    return error_set(e, OCM_E_DAMAGED,
                     "%s: the process that reads it failed (%d)", f->at,
                     job->exit_code);
}

int database_do(struct adapt *a, const struct adapt_file *f, const char *own,
                struct error *e)
{
    const char *const argv[] = {a->o.helper, DATABASE_HELPER_WORD, NULL};
    const char *const env[] = {NULL};
    struct process_job job = {.argv = argv,
                              .env = env,
                              .timeout_ms = database_helper_ms,
                              .max_output = ANSWER_MAX};
    struct buf request = {0};
    int rc;

    if (!a->o.helper)
        return database_work(a, f, own, e);
    database_request_pack(a, f, own, &request);
    job.input = request.data;
    job.input_len = request.len;
    rc = process_run(&job, 1, NULL, NULL);
    if (job.exit_code == -1)
        rc = error_set(e, rc, "%s: %s cannot be run: %s", f->at, argv[0],
                       error_text(rc));
    else if (rc < 0 || job.exit_code != 0)
        rc = say_how_it_ended(f, &job, e);
    else
        rc = database_answer_unpack(&job.out, f, a->plan, e);
    process_job_fini(&job);
    buf_wipe(&request);
    return rc;
}

/* ---- the helper's end ---- */

static int read_all(int fd, struct buf *out)
{
    ssize_t n;

    do {
        n = read(fd, buf_reserve(out, 65536), 65536);
        out->len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && out->len <= REQUEST_MAX);
    return n == 0 ? 0 : -1;
}

static uint64_t size_of(const char *path)
{
    struct stat st;

    return path && stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static int lock_in(const struct database_request *r, struct error *e)
{
    char *dir = mem_strdup(r->f.staged), *slash = strrchr(dir, '/');
    struct sandbox s = {
        .dir = dir,
        .memory_bytes = HELPER_MEMORY,
        .file_bytes = 2 * (size_of(r->f.staged) + size_of(r->own)) + FILE_SLACK,
        .cpu_s = HELPER_CPU_S};
    int rc;

    if (slash)
        *slash = 0;
    rc = sandbox_enter(&s, e);
    free(dir);
    return rc;
}

static int work(struct database_request *r, struct plan *plan, struct error *e)
{
    struct plan known = {0}; /* what the rules say, the agent has said */
    int rc = lock_in(r, e);

    if (rc < 0)
        return rc;
    rules_init(&r->a.rules, &r->a.o, &known);
    plan_fini(&known);
    r->a.plan = plan;
    rc = database_work(&r->a, &r->f, r->own, e);
    rules_fini(&r->a.rules);
    return rc;
}

int database_helper_main(void)
{
    struct buf in = {0}, out = {0};
    struct database_request r;
    struct plan plan = {0};
    struct error e = {0};
    int rc;

    if (read_all(STDIN_FILENO, &in) < 0)
        return 1;
    rc = database_request_unpack(&in, &r, &e);
    if (rc == 0)
        rc = work(&r, &plan, &e);
    database_answer_pack(rc, &e, &plan, &out);
    rc = fd_write_all(STDOUT_FILENO, out.data, out.len);
    database_request_fini(&r);
    plan_fini(&plan);
    buf_wipe(&in);
    buf_wipe(&out);
    return rc == 0 ? 0 : 1;
}
