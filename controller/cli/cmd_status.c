/* SPDX-License-Identifier: MIT */
/* status, verify, kit, completion, man, version. */
#include <stdlib.h>
#include <string.h>

#include "controller/cli/cli_internal.h"

int cmd_status(struct cli *c)
{
    const json_t *nodes, *jobs, *repository;
    json_t *doc;
    FILE *out = c->io->out;
    int code = 0;

    doc = client_get(c, &code, "/api/v1/status");
    if (!doc)
        return code;
    if (c->json) {
        give_json(c, doc);
        json_decref(doc);
        return code;
    }
    nodes = json_object_get(doc, "nodes");
    jobs = json_object_get(doc, "jobs");
    repository = json_object_get(doc, "repository");
    fprintf(out, "controller  %s, version %s, started %s\n",
            safe(text_of(doc, "name")), safe(text_of(doc, "version")),
            age_text(text_of(doc, "started")));
    fprintf(out, "nodes       %s, %s connected",
            count_text(number_of(nodes, "total")),
            count_text(number_of(nodes, "connected")));
    if (number_of(nodes, "never_backed_up") > 0)
        fprintf(out, "; %s%s never backed up%s", tone_begin(c, TONE_WARN),
                count_text(number_of(nodes, "never_backed_up")),
                tone_end(c, TONE_WARN));
    if (number_of(nodes, "partial") + number_of(nodes, "failed") > 0)
        fprintf(out, "; %s%s with a last backup that is not complete%s",
                tone_begin(c, TONE_WARN),
                count_text(number_of(nodes, "partial") +
                           number_of(nodes, "failed")),
                tone_end(c, TONE_WARN));
    fprintf(out, "\njobs        %s running, %s waiting\n",
            count_text(number_of(jobs, "running")),
            count_text(number_of(jobs, "queued")));
    fprintf(out, "repository  %s, %s free\n", safe(text_of(repository, "path")),
            bytes_text(number_of(repository, "free_bytes")));
    json_decref(doc);
    return CLI_EXIT_OK;
}

static int show_verified(struct cli *c, const json_t *job)
{
    const json_t *r = json_object_get(job, "result");
    const json_t *findings = json_object_get(r, "findings");
    int64_t errors = number_of(r, "errors");
    json_t *line;
    size_t i;

    if (!json_is_object(r))
        return exit_of_job(c, job);
    if (!c->json) {
        fprintf(c->io->out, "%s packs, %s blobs, %s snapshots, %s: ",
                count_text(number_of(r, "packs")),
                count_text(number_of(r, "blobs")),
                count_text(number_of(r, "snapshots")),
                bytes_text(number_of(r, "bytes")));
        fprintf(c->io->out, "%s%s errors%s\n",
                tone_begin(c, errors ? TONE_BAD : TONE_GOOD),
                errors ? count_text(errors) : "no",
                tone_end(c, errors ? TONE_BAD : TONE_GOOD));
        json_array_foreach(findings, i, line)
        {
            fprintf(c->io->out, "  %s\n",
                    safe(json_is_string(line) ? json_string_value(line) : ""));
        }
    }
    return errors > 0 ? CLI_EXIT_DAMAGED : exit_of_job(c, job);
}

int cmd_verify(struct cli *c)
{
    json_t *body = json_pack("{s:b}", "read_data", arg_flag(c, "read-data"));
    json_t *doc, *job = NULL;
    int code = 0;

    if (c->arg_count > 0)
        json_object_set_new(body, "snapshot", json_string(c->args[0]));
    doc = client_send(c, &code, "POST", body, "/api/v1/verify");
    if (!doc)
        return code;
    if (arg_flag(c, "detach")) {
        if (c->json)
            give_json(c, doc);
        else
            fprintf(c->io->out, "%s\n", safe(text_of(doc, "job")));
    } else {
        code = watch_job(c, text_of(doc, "job"), "verify", &job);
        if (job && c->json)
            give_job(c, job);
        if (job)
            code = show_verified(c, job);
    }
    json_decref(job);
    json_decref(doc);
    return code;
}

int cmd_kit(struct cli *c)
{
    int code = 0;
    json_t *doc = client_get(c, &code, "/api/v1/kit");

    if (!doc)
        return code;
    if (c->json)
        give_json(c, doc);
    else
        fputs(text_of(doc, "text"), c->io->out);
    json_decref(doc);
    return CLI_EXIT_OK;
}

int cmd_completion(struct cli *c)
{
    if (!complete_write(c->io->out, c->args[0]))
        return usage_error(c, "no completion for '%s'", c->args[0]);
    return CLI_EXIT_OK;
}

int cmd_man(struct cli *c)
{
    help_man(c->io->out);
    return CLI_EXIT_OK;
}

int cmd_version(struct cli *c)
{
    int code = 0;
    json_t *doc;

    if (!c->json)
        fprintf(c->io->out, "ocmctl " OCM_VERSION "\n");
    doc = client_get(c, &code, "/api/v1/status");
    if (doc && c->json) {
        json_t *v = json_pack("{s:i,s:s,s:O}", "schemaVersion", 1, "ocmctl",
                              OCM_VERSION, "controller",
                              json_object_get(doc, "version"));

        give_json(c, v);
        json_decref(v);
    } else if (doc) {
        fprintf(c->io->out, "ocm-controller %s\n",
                safe(text_of(doc, "version")));
    }
    json_decref(doc);
    return code;
}
