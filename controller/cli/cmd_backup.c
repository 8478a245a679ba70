/* SPDX-License-Identifier: MIT */
/* backup, list, show. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/cli/cli_internal.h"

#define PROBLEMS_SHOWN 20

static void show_problems(struct cli *c, const json_t *v)
{
    const json_t *problems = json_object_get(v, "problems");
    int64_t all = number_of(v, "problem_count");
    size_t i;
    json_t *p;

    json_array_foreach(problems, i, p)
    {
        if (i == PROBLEMS_SHOWN)
            break;
        fprintf(c->io->out, "  %s%s%s: %s\n", tone_begin(c, TONE_WARN),
                safe(text_of(p, "path")), tone_end(c, TONE_WARN),
                safe(text_of(p, "reason")));
    }
    if (all > (int64_t)i)
        fprintf(c->io->out, "  and %s more\n", count_text(all - (int64_t)i));
}

void backup_show(struct cli *c, const json_t *r)
{
    const char *state = text_of(r, "state");
    double s = json_number_value(json_object_get(r, "seconds"));

    fprintf(c->io->out, "%s%s%s: %s%s%s, %s files, %s",
            tone_begin(c, TONE_BOLD), safe(text_of(r, "node")),
            tone_end(c, TONE_BOLD), tone_begin(c, tone_of_state(state)),
            safe(state), tone_end(c, tone_of_state(state)),
            count_text(number_of(r, "files")),
            bytes_text(number_of(r, "bytes")));
    fprintf(c->io->out, " (read %s, sent %s, new %s) in %s\n",
            bytes_text(number_of(r, "bytes_read")),
            bytes_text(number_of(r, "bytes_sent")),
            bytes_text(number_of(r, "bytes_stored")), seconds_text(s));
    fprintf(c->io->out, "  snapshot %.8s\n", safe(text_of(r, "snapshot")));
    if (number_of(r, "silent_changes") > 0)
        fprintf(c->io->out,
                "  %s%s files held something else than their size and times "
                "said%s: the agent's log names them\n",
                tone_begin(c, TONE_BAD),
                count_text(number_of(r, "silent_changes")),
                tone_end(c, TONE_BAD));
    show_problems(c, r);
}

static json_t *backup_body(struct cli *c)
{
    json_t *body = json_object(), *nodes, *sections = arg_list(c, "only");

    if (arg_flag(c, "all")) {
        json_object_set_new(body, "all", json_true());
    } else {
        nodes = json_array();
        for (int i = 0; i < c->arg_count; i++)
            json_array_append_new(nodes, json_string(c->args[i]));
        json_object_set_new(body, "nodes", nodes);
    }
    if (sections)
        json_object_set_new(body, "sections", sections);
    if (arg_flag(c, "no-data"))
        json_object_set_new(body, "no_data", json_true());
    if (arg_flag(c, "reread"))
        json_object_set_new(body, "reread", json_true());
    return body;
}

/* The worst of two ends: a failure before a part, a part before success. */
static int worse(int a, int b)
{
    if (a == CLI_EXIT_OK || (a == CLI_EXIT_PARTIAL && b != CLI_EXIT_OK))
        return b;
    return a;
}

static int wait_for_backups(struct cli *c, const json_t *jobs)
{
    json_t *ends = json_array(), *j, *doc;
    int code = CLI_EXIT_OK;
    bool told = false; /* why the watching broke off: a document already */
    size_t i;

    json_array_foreach(jobs, i, j)
    {
        json_t *job = NULL;
        int end = watch_job(c, text_of(j, "job"), text_of(j, "node"), &job);

        if (!job) {
            code = end;
            told = true;
            break;
        }
        if (!c->json && json_is_object(json_object_get(job, "result")))
            backup_show(c, json_object_get(job, "result"));
        code = worse(code, exit_of_job(c, job));
        json_array_append_new(ends, job);
    }
    if (c->json && !told) {
        doc = json_pack("{s:i,s:O}", "schemaVersion", 1, "jobs", ends);
        give_json(c, doc);
        json_decref(doc);
    }
    json_decref(ends);
    return code;
}

int cmd_backup(struct cli *c)
{
    json_t *doc, *j;
    int code = 0;
    size_t i;

    if (arg_flag(c, "all") == (c->arg_count > 0))
        return usage_error(c, "name the nodes, or give --all");
    doc = client_send(c, &code, "POST", backup_body(c), "/api/v1/backups");
    if (!doc)
        return code;
    if (!arg_flag(c, "detach")) {
        code = wait_for_backups(c, json_object_get(doc, "jobs"));
    } else if (c->json) {
        give_json(c, doc);
    } else {
        json_array_foreach(json_object_get(doc, "jobs"), i, j)
        {
            fprintf(c->io->out, "%s  %s\n", safe(text_of(j, "job")),
                    safe(text_of(j, "node")));
        }
    }
    json_decref(doc);
    return code;
}

/* ---- looking at backups ---- */

void snapshot_table(struct cli *c, const json_t *snapshots)
{
    static const char *const heads[] = {"SNAPSHOT", "TIME", "NODE", "STATE",
                                        "REMARKS"};
    struct table *t = table_new(heads, ARRAY_LEN(heads));
    json_t *s;
    size_t i;

    json_array_foreach(snapshots, i, s)
    {
        char id[16];

        snprintf(id, sizeof(id), "%.8s", text_of(s, "id"));
        table_cell(t, TONE_BOLD, id);
        table_cell(t, TONE_NONE, local_time(text_of(s, "time")));
        table_cell(t, TONE_NONE, text_of(s, "node"));
        table_cell(t, tone_of_state(text_of(s, "state")), text_of(s, "state"));
        table_cell(t, TONE_DIM,
                   json_is_true(json_object_get(s, "safety"))
                       ? "before a change"
                       : "");
    }
    table_give(c, t);
}

int cmd_list(struct cli *c)
{
    const char *limit = arg_option(c, "limit");
    char *node = client_escape(c->arg_count > 0 ? c->args[0] : "");
    int64_t n = 100;
    json_t *doc;
    int code = 0;

    if (limit && !text_to_i64(limit, 1, 10000, &n)) {
        free(node);
        return usage_error(c, "--limit must be from 1 to 10000");
    }
    doc = client_get(c, &code, "/api/v1/snapshots?limit=%lld%s%s", (long long)n,
                     *node ? "&node=" : "", node);
    free(node);
    if (!doc)
        return code;
    if (c->json) {
        give_json(c, doc);
    } else {
        snapshot_table(c, json_object_get(doc, "snapshots"));
        if (json_array_size(json_object_get(doc, "snapshots")) == 0)
            say(c, "No backup yet. To make one: ocmctl backup NODE");
        if (*text_of(doc, "warning"))
            complain(c, "%s", text_of(doc, "warning"));
    }
    json_decref(doc);
    return CLI_EXIT_OK;
}

static void show_sections(struct cli *c, const json_t *sections)
{
    static const char *const heads[] = {"AREA", "SECTION", "STATE", "FILES",
                                        "SIZE"};
    struct table *t = table_new(heads, ARRAY_LEN(heads));
    json_t *s;
    size_t i;

    table_right(t, 3);
    table_right(t, 4);
    json_array_foreach(sections, i, s)
    {
        table_cell(t, TONE_NONE, text_of(s, "area"));
        table_cell(t, TONE_BOLD, text_of(s, "name"));
        table_cell(t, tone_of_state(text_of(s, "state")), text_of(s, "state"));
        table_cell(t, TONE_NONE, count_text(number_of(s, "files")));
        table_cell(t, TONE_NONE, bytes_text(number_of(s, "bytes")));
    }
    table_give(c, t);
}

static void show_snapshot(struct cli *c, const json_t *s)
{
    FILE *out = c->io->out;

    fprintf(out, "snapshot  %s\n", safe(text_of(s, "id")));
    fprintf(out, "node      %s\n", safe(text_of(s, "node")));
    fprintf(out, "time      %s\n", local_time(text_of(s, "time")));
    fprintf(out, "state     %s%s%s\n",
            tone_begin(c, tone_of_state(text_of(s, "state"))),
            safe(text_of(s, "state")),
            tone_end(c, tone_of_state(text_of(s, "state"))));
    fprintf(out, "openclaw  %s\n",
            *text_of(s, "openclaw") ? safe(text_of(s, "openclaw")) : "-");
    fprintf(out, "holds     %s files, %s\n\n",
            count_text(number_of(s, "files")),
            bytes_text(number_of(s, "bytes")));
    if (!json_is_true(json_object_get(s, "meta")))
        complain(c, "its meta.json cannot be read");
    show_sections(c, json_object_get(s, "sections"));
    if (number_of(s, "problem_count") > 0) {
        fprintf(out, "\nnot backed up:\n");
        show_problems(c, s);
    }
}

int cmd_show(struct cli *c)
{
    char *id = client_escape(c->args[0]);
    int code = 0;
    json_t *doc = client_get(c, &code, "/api/v1/snapshots/%s", id);

    free(id);
    if (!doc)
        return code;
    if (c->json)
        give_json(c, doc);
    else
        show_snapshot(c, json_object_get(doc, "snapshot"));
    json_decref(doc);
    return CLI_EXIT_OK;
}
