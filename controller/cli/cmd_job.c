/* SPDX-License-Identifier: MIT */
/* job list, show, watch, cancel. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/cli/cli_internal.h"

int cmd_job_list(struct cli *c)
{
    static const char *const heads[] = {"JOB",   "KIND", "NODE",
                                        "STATE", "WHEN", "REMARKS"};
    const char *limit = arg_option(c, "limit");
    char *node = client_escape(c->arg_count > 0 ? c->args[0] : "");
    int64_t n = 50;
    struct table *t;
    json_t *doc, *j;
    int code = 0;
    size_t i;

    if (limit && !text_to_i64(limit, 1, 1000, &n)) {
        free(node);
        return usage_error(c, "--limit must be from 1 to 1000");
    }
    doc = client_get(c, &code, "/api/v1/jobs?limit=%lld%s%s", (long long)n,
                     *node ? "&node=" : "", node);
    free(node);
    if (!doc)
        return code;
    if (c->json) {
        give_json(c, doc);
        json_decref(doc);
        return CLI_EXIT_OK;
    }
    t = table_new(heads, ARRAY_LEN(heads));
    json_array_foreach(json_object_get(doc, "jobs"), i, j)
    {
        table_cell(t, TONE_BOLD, text_of(j, "id"));
        table_cell(t, TONE_NONE, text_of(j, "kind"));
        table_cell(t, TONE_NONE, text_of(j, "node"));
        table_cell(t, tone_of_state(text_of(j, "state")), text_of(j, "state"));
        table_cell(t, TONE_NONE, age_text(text_of(j, "created")));
        table_cell(t, TONE_DIM, text_of(json_object_get(j, "error"), "text"));
    }
    table_give(c, t);
    json_decref(doc);
    return CLI_EXIT_OK;
}

static void show_log(void *arg, const json_t *e)
{
    struct cli *c = arg;
    const char *type = text_of(e, "type");
    FILE *out = c->io->out;

    if (strcmp(type, "log") == 0)
        fprintf(out, "  %s  %s: %s\n", safe(text_of(e, "time")),
                safe(text_of(e, "level")), safe(text_of(e, "text")));
    else if (strcmp(type, "step") == 0)
        fprintf(out, "  %s  step %s\n", safe(text_of(e, "time")),
                safe(text_of(e, "step")));
    else if (strcmp(type, "state") == 0)
        fprintf(out, "  %s  %s%s%s\n", safe(text_of(e, "time")),
                safe(text_of(e, "state")), *text_of(e, "text") ? ": " : "",
                safe(text_of(e, "text")));
}

static bool until_interrupted(void *arg)
{
    (void)arg;
    return !cli_interrupted;
}

static bool has_ended(const json_t *job)
{
    return json_is_string(json_object_get(job, "ended"));
}

static void show_job(struct cli *c, const json_t *job)
{
    const json_t *error = json_object_get(job, "error");
    const json_t *p = json_object_get(job, "progress");
    FILE *out = c->io->out;
    int64_t after = 0;

    fprintf(out, "job      %s\n", safe(text_of(job, "id")));
    fprintf(out, "kind     %s\n", safe(text_of(job, "kind")));
    if (*text_of(job, "node"))
        fprintf(out, "node     %s\n", safe(text_of(job, "node")));
    fprintf(out, "by       %s\n", safe(text_of(job, "owner")));
    fprintf(out, "state    %s%s%s\n",
            tone_begin(c, tone_of_state(text_of(job, "state"))),
            safe(text_of(job, "state")),
            tone_end(c, tone_of_state(text_of(job, "state"))));
    fprintf(out, "begun    %s\n", local_time(text_of(job, "started")));
    fprintf(out, "ended    %s\n", local_time(text_of(job, "ended")));
    if (json_is_object(error))
        fprintf(out, "error    %s (%s)\n", safe(text_of(error, "text")),
                safe(text_of(error, "code")));
    if (json_is_object(p))
        fprintf(out, "so far   %s files, %s\n",
                count_text(number_of(p, "files_done")),
                bytes_text(number_of(p, "bytes_done")));
    if (has_ended(job)) {
        fprintf(out, "\n");
        client_events(c, text_of(job, "id"), &after, show_log,
                      until_interrupted, c);
    }
}

int cmd_job_show(struct cli *c)
{
    char *id = client_escape(c->args[0]);
    int code = 0;
    json_t *doc = client_get(c, &code, "/api/v1/jobs/%s", id);

    free(id);
    if (!doc)
        return code;
    if (c->json)
        give_json(c, doc);
    else
        show_job(c, json_object_get(doc, "job"));
    json_decref(doc);
    return CLI_EXIT_OK;
}

int cmd_job_watch(struct cli *c)
{
    json_t *job = NULL;
    const json_t *r;
    int code = watch_job(c, c->args[0], c->args[0], &job);

    if (!job)
        return code;
    r = json_object_get(job, "result");
    if (c->json) {
        give_job(c, job);
    } else {
        if (strcmp(text_of(job, "kind"), "backup") == 0 && json_is_object(r))
            backup_show(c, r);
        if (strcmp(text_of(job, "kind"), "plan") == 0 && json_is_object(r))
            plan_show(c, r);
        if (strcmp(text_of(job, "kind"), "upgrade") == 0 && json_is_object(r))
            upgrade_show(c, r);
        if (strcmp(text_of(job, "kind"), "uninstall") == 0 && json_is_object(r))
            uninstall_show(c, r);
        fprintf(c->io->out, "%s %s\n", safe(text_of(job, "id")),
                safe(text_of(job, "state")));
    }
    code = exit_of_job(c, job);
    json_decref(job);
    return code;
}

int cmd_job_cancel(struct cli *c)
{
    char *id = client_escape(c->args[0]);
    int code = 0;
    json_t *doc = client_send(c, &code, "POST", json_object(),
                              "/api/v1/jobs/%s/cancel", id);

    free(id);
    if (!doc)
        return code;
    if (c->json)
        give_json(c, doc);
    else
        say(c, "%s is being cancelled.", safe(text_of(doc, "job")));
    json_decref(doc);
    return CLI_EXIT_OK;
}
