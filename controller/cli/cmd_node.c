/* SPDX-License-Identifier: MIT */
/* node list, show, token, remove, rename, single, gateway. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/cli/cli_internal.h"

static void backup_cells(struct table *t, const json_t *node)
{
    const json_t *last = json_object_get(node, "last_backup");
    const char *state = text_of(last, "state");

    table_cell(t, TONE_NONE, age_text(text_of(last, "time")));
    table_cell(t, tone_of_state(state), *state ? state : "-");
}

int cmd_node_list(struct cli *c)
{
    static const char *const heads[] = {"NODE",     "LINK",        "OPENCLAW",
                                        "AGENT",    "LAST BACKUP", "STATE",
                                        "LAST SEEN"};
    struct table *t;
    int code = 0;
    json_t *doc = client_get(c, &code, "/api/v1/nodes%s",
                             arg_flag(c, "all") ? "?all=1" : "");
    json_t *n;
    size_t i;

    if (!doc)
        return code;
    if (c->json) {
        give_json(c, doc);
        json_decref(doc);
        return CLI_EXIT_OK;
    }
    t = table_new(heads, ARRAY_LEN(heads));
    json_array_foreach(json_object_get(doc, "nodes"), i, n)
    {
        bool up = json_is_true(json_object_get(n, "connected"));
        bool gone = json_is_true(json_object_get(n, "revoked"));

        table_cell(t, TONE_BOLD, text_of(n, "name"));
        bool twice = *text_of(n, "duplicate_since");

        table_cell(t,
                   twice ? TONE_BAD
                   : up  ? TONE_GOOD
                         : TONE_WARN,
                   gone    ? "removed"
                   : twice ? "double"
                   : up    ? "connected"
                           : "away");
        table_cell(t, TONE_NONE, text_of(n, "openclaw_version"));
        table_cell(t, TONE_NONE, text_of(n, "agent_version"));
        backup_cells(t, n);
        table_cell(t, TONE_DIM, age_text(text_of(n, "last_seen")));
    }
    table_give(c, t);
    if (json_array_size(json_object_get(doc, "nodes")) == 0)
        say(c, "No node yet. To invite one: ocmctl node token NAME");
    json_decref(doc);
    return CLI_EXIT_OK;
}

static void show_node(struct cli *c, const json_t *n)
{
    const json_t *last = json_object_get(n, "last_backup");
    FILE *out = c->io->out;

    fprintf(out, "name         %s\n", safe(text_of(n, "name")));
    fprintf(out, "id           %s\n", safe(text_of(n, "id")));
    fprintf(out, "host         %s\n", safe(text_of(n, "hostname")));
    fprintf(out, "link         %s\n",
            json_is_true(json_object_get(n, "revoked"))     ? "removed"
            : json_is_true(json_object_get(n, "connected")) ? "connected"
                                                            : "away");
    if (*text_of(n, "duplicate_since"))
        fprintf(out,
                "             %sthe same identity runs on two machines since "
                "%s: join one of them again (ocmctl node token), then: ocmctl "
                "node single %s%s\n",
                tone_begin(c, TONE_BAD),
                local_time(text_of(n, "duplicate_since")),
                safe(text_of(n, "name")), tone_end(c, TONE_BAD));
    fprintf(out, "platform     %s\n", safe(text_of(n, "platform")));
    fprintf(out, "openclaw     %s\n", safe(text_of(n, "openclaw_version")));
    fprintf(out, "agent        %s\n", safe(text_of(n, "agent_version")));
    fprintf(out, "joined       %s\n", local_time(text_of(n, "created")));
    fprintf(out, "last seen    %s\n", local_time(text_of(n, "last_seen")));
    fprintf(out, "certificate  until %s\n",
            local_time(text_of(n, "certificate_until")));
    if (json_is_object(last))
        fprintf(out, "last backup  %s, %s, %.8s\n",
                local_time(text_of(last, "time")), safe(text_of(last, "state")),
                safe(text_of(last, "snapshot")));
    else
        fprintf(out, "last backup  never\n");
}

static int node_request(struct cli *c, const char *method, const char *verb,
                        json_t *body, bool show)
{
    char *node = client_escape(c->args[0]);
    int code = 0;
    json_t *doc = strcmp(method, "GET") == 0
                      ? client_get(c, &code, "/api/v1/nodes/%s%s", node, verb)
                      : client_send(c, &code, method, body,
                                    "/api/v1/nodes/%s%s", node, verb);

    free(node);
    if (!doc)
        return code;
    if (c->json)
        give_json(c, doc);
    else if (show)
        show_node(c, json_object_get(doc, "node"));
    json_decref(doc);
    return CLI_EXIT_OK;
}

int cmd_node_show(struct cli *c)
{
    return node_request(c, "GET", "", NULL, true);
}

int cmd_node_token(struct cli *c)
{
    const char *ttl = arg_option(c, "ttl");
    json_t *body = json_object(), *doc;
    int64_t seconds;
    int code = 0;

    if (ttl && !text_to_i64(ttl, 10, 900, &seconds)) {
        json_decref(body);
        return usage_error(c, "--ttl must be from 10 to 900 seconds");
    }
    if (ttl)
        json_object_set_new(body, "ttl_s", json_integer(seconds));
    if (c->arg_count > 0)
        json_object_set_new(body, "name", json_string(c->args[0]));
    doc = client_send(c, &code, "POST", body, "/api/v1/nodes/token");
    if (!doc)
        return code;
    if (c->json) {
        give_json(c, doc);
    } else if (arg_flag(c, "script")) {
        token_script(c, doc);
    } else {
        say(c,
            "Run this on the node as OpenClaw's user; it works once, until "
            "%s:\n",
            local_time(text_of(doc, "expires")));
        fprintf(c->io->out, "%s\n", safe(text_of(doc, "command")));
    }
    json_decref(doc);
    return CLI_EXIT_OK;
}

static void show_lines(struct cli *c, const json_t *lines, const char *head)
{
    const json_t *line;
    size_t i;

    json_array_foreach(lines, i, line)
    {
        fprintf(c->io->out, "%s%s\n", head, safe(json_string_value(line)));
    }
}

void uninstall_show(struct cli *c, const json_t *result)
{
    show_lines(c, json_object_get(result, "removed"), "removed: ");
    show_lines(c, json_object_get(result, "left"), "left to you: ");
}

/* Can it be asked at all? What can not is revoked, and left to a hand. */
static bool out_of_reach(const json_t *job)
{
    const char *why = text_of(json_object_get(job, "error"), "code");

    return strcmp(why, "offline") == 0 || strcmp(why, "unsupported") == 0;
}

/* The agent takes itself off its node. CLI_EXIT_PARTIAL: it could not be asked;
 * any other failure ends the removal, so that it can be done again. */
static int uninstall(struct cli *c)
{
    char *node = client_escape(c->args[0]);
    json_t *job = NULL, *doc;
    int code = 0;

    doc = client_send(c, &code, "POST", json_object(),
                      "/api/v1/nodes/%s/uninstall", node);
    free(node);
    if (!doc)
        return code;
    code = watch_job(c, text_of(doc, "job"), "uninstall", &job);
    json_decref(doc);
    if (!job)
        return code;
    code = exit_of_job(c, job);
    if (code == 0 && !c->json)
        uninstall_show(c, json_object_get(job, "result"));
    if (out_of_reach(job)) {
        say(c,
            "The agent stays on %s. To take it off by hand, there as its "
            "user:\n  ocm-agent --config FILE uninstall",
            safe(c->args[0]));
        code = CLI_EXIT_PARTIAL;
    } else if (code != 0) {
        say(c, "%s is not removed: try again, or without --uninstall.",
            safe(c->args[0]));
    }
    json_decref(job);
    return code;
}

int cmd_node_remove(struct cli *c)
{
    char answer[128];
    int code, left = 0;

    if (!arg_flag(c, "yes")) {
        if (!ask(c, answer, sizeof(answer),
                 "%s will be cut off; its backups stay. Type its name to go "
                 "on: ",
                 safe(c->args[0])))
            return usage_error(c, "nobody to ask: give --yes");
        if (strcmp(answer, c->args[0]) != 0) {
            complain(c, "that is not its name: nothing was done");
            return CLI_EXIT_FAILED;
        }
    }
    if (arg_flag(c, "uninstall")) {
        left = uninstall(c);
        if (left != 0 && left != CLI_EXIT_PARTIAL)
            return left;
    }
    code = node_request(c, "DELETE", "", NULL, false);
    if (code == 0)
        say(c, "%s is removed; its backups stay.", safe(c->args[0]));
    return code ? code : left;
}

int cmd_node_rename(struct cli *c)
{
    int code = node_request(c, "POST", "/rename",
                            json_pack("{s:s}", "name", c->args[1]), false);

    if (code == 0)
        say(c, "%s is now %s.", safe(c->args[0]), safe(c->args[1]));
    return code;
}

int cmd_node_single(struct cli *c)
{
    int code = node_request(c, "POST", "/single", NULL, false);

    if (code == 0)
        say(c, "%s runs on one machine again.", safe(c->args[0]));
    return code;
}

int cmd_node_gateway(struct cli *c)
{
    const char *verb = c->arg_count > 1 ? c->args[1] : "status";
    char *node = client_escape(c->args[0]);
    json_t *job = NULL, *doc;
    const json_t *result;
    int code = 0;

    doc = client_send(c, &code, "POST", json_pack("{s:s}", "verb", verb),
                      "/api/v1/nodes/%s/gateway", node);
    free(node);
    if (!doc)
        return code;
    code = watch_job(c, text_of(doc, "job"), "gateway", &job);
    json_decref(doc);
    if (!job)
        return code;
    code = exit_of_job(c, job);
    result = json_object_get(job, "result");
    if (c->json)
        give_job(c, job);
    else if (code == 0)
        fprintf(c->io->out, "%s: %s%s%s%s\n", safe(c->args[0]),
                safe(text_of(result, "state")),
                json_is_true(json_object_get(result, "fenced")) ? ", fenced"
                                                                : "",
                *text_of(result, "text") ? ": " : "",
                safe(text_of(result, "text")));
    json_decref(job);
    return code;
}
