/* SPDX-License-Identifier: MIT */
/* restore and migrate: make a plan -> show it -> agree by the target's name ->
 * apply exactly this plan -> say how it went. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/cli/cli_internal.h"

struct change {
    const char *source, *target, *intention;
    const char *route; /* "restores" or "migrations" */
};

/* FROM=TO; a FROM that holds '=' is written with "\=". */
static json_t *parse_rule(const char *text)
{
    struct buf from = {0};
    json_t *rule = NULL;

    for (; *text && *text != '='; text++) {
        if (text[0] == '\\' && text[1] == '=')
            text++;
        buf_add_byte(&from, (uint8_t)*text);
    }
    if (*text == '=' && from.len > 0)
        rule = json_pack("{s:s,s:s}", "from", buf_str(&from), "to", text + 1);
    buf_free(&from);
    return rule;
}

static int add_rules(struct cli *c, json_t *body)
{
    json_t *rules = json_array();
    const char *text;

    for (size_t i = 0; (text = arg_option_n(c, "rule", i)) != NULL; i++) {
        json_t *rule = parse_rule(text);

        if (!rule) {
            json_decref(rules);
            return usage_error(c, "--rule must be FROM=TO");
        }
        json_array_append_new(rules, rule);
    }
    if (json_array_size(rules) > 0)
        json_object_set(body, "rules", rules);
    json_decref(rules);
    return 0;
}

static int plan_body(struct cli *c, const struct change *ch, json_t **out)
{
    json_t *body = json_pack("{s:s,s:s,s:s}", "source", ch->source, "target",
                             ch->target, "intention", ch->intention);
    json_t *sections = arg_list(c, "only");
    int code;

    if (!body) {
        json_decref(sections);
        return usage_error(c, "a name is not UTF-8");
    }
    if (arg_option(c, "snapshot"))
        json_object_set_new(body, "snapshot",
                            json_string(arg_option(c, "snapshot")));
    if (sections)
        json_object_set_new(body, "sections", sections);
    if (arg_flag(c, "no-data"))
        json_object_set_new(body, "no_data", json_true());
    if (arg_flag(c, "channels-on"))
        json_object_set_new(body, "channels_on", json_true());
    if (arg_flag(c, "install-openclaw"))
        json_object_set_new(body, "install_openclaw", json_true());
    if (arg_flag(c, "upgrade-state"))
        json_object_set_new(body, "upgrade_state", json_true());
    code = add_rules(c, body);
    if (code != 0)
        json_decref(body);
    else
        *out = body;
    return code;
}

/* The finished plan job; NULL and an exit code when there is none. */
static json_t *make_plan(struct cli *c, const struct change *ch, int *code)
{
    json_t *body = NULL, *doc, *job = NULL;

    *code = plan_body(c, ch, &body);
    if (*code != 0)
        return NULL;
    doc = client_send(c, code, "POST", body, "/api/v1/plans");
    if (!doc)
        return NULL;
    *code = watch_job(c, text_of(doc, "job"), "plan", &job);
    json_decref(doc);
    if (job && strcmp(text_of(job, "state"), "done") != 0) {
        *code = exit_of_job(c, job);
        if (c->json)
            give_job(c, job);
        json_decref(job);
        job = NULL;
    }
    return job;
}

static int agree(struct cli *c, const struct change *ch)
{
    char answer[128];

    if (arg_flag(c, "yes"))
        return 0;
    if (!ask(
            c, answer, sizeof(answer),
            "\nTo go on, type the name of the target (%s): ", safe(ch->target)))
        return usage_error(c, "nobody to ask: look at the plan with --plan, "
                              "then give --yes");
    if (strcmp(answer, ch->target) != 0) {
        complain(c, "that is not its name: nothing was done");
        return CLI_EXIT_FAILED;
    }
    return 0;
}

static void show_applied(struct cli *c, const json_t *job)
{
    const json_t *r = json_object_get(job, "result");
    const char *state = text_of(r, "state");
    FILE *out = c->io->out;
    json_t *check;
    size_t i;

    fprintf(out, "%s: %s%s%s", safe(text_of(job, "node")),
            tone_begin(c, tone_of_state(state)), safe(state),
            tone_end(c, tone_of_state(state)));
    if (*text_of(r, "reason"))
        fprintf(out, " (%s)", safe(text_of(r, "reason")));
    fputc('\n', out);
    json_array_foreach(json_object_get(r, "checks"), i, check)
    {
        bool ok = json_is_true(json_object_get(check, "ok"));

        fprintf(out, "  %s%-4s%s %s", tone_begin(c, ok ? TONE_GOOD : TONE_BAD),
                ok ? "ok" : "FAIL", tone_end(c, ok ? TONE_GOOD : TONE_BAD),
                safe(text_of(check, "name")));
        fprintf(out, "%s%s\n", *text_of(check, "text") ? ": " : "",
                safe(text_of(check, "text")));
    }
    if (number_of(r, "gateway_down_ms") > 0)
        fprintf(out, "  the gateway was down for %s\n",
                seconds_text((double)number_of(r, "gateway_down_ms") / 1000));
    if (*text_of(r, "safety_snapshot"))
        fprintf(out, "  before it: snapshot %.8s\n",
                safe(text_of(r, "safety_snapshot")));
    if (*text_of(r, "kept"))
        fprintf(out, "  what was replaced is kept in %s on the node\n",
                safe(text_of(r, "kept")));
}

static int apply(struct cli *c, const struct change *ch, const char *plan)
{
    json_t *body = json_pack("{s:s,s:s}", "plan", plan, "confirm", ch->target);
    json_t *doc, *job = NULL;
    int code = 0;

    if (arg_flag(c, "no-start"))
        json_object_set_new(body, "no_start", json_true());
    if (arg_flag(c, "no-safety"))
        json_object_set_new(body, "no_safety", json_true());
    if (arg_flag(c, "source-gone"))
        json_object_set_new(body, "source_gone", json_true());
    doc = client_send(c, &code, "POST", body, "/api/v1/%s", ch->route);
    if (!doc)
        return code;
    code = watch_job(c, text_of(doc, "job"), ch->target, &job);
    json_decref(doc);
    if (!job)
        return code;
    if (c->json)
        give_job(c, job);
    else if (json_is_object(json_object_get(job, "result")))
        show_applied(c, job);
    code = exit_of_job(c, job);
    json_decref(job);
    return code;
}

static int plan_and_apply(struct cli *c, const struct change *ch)
{
    const json_t *plan;
    size_t blocking;
    int code = 0;
    json_t *job = make_plan(c, ch, &code);

    if (!job)
        return code;
    plan = json_object_get(job, "result");
    blocking = plan_blocking(plan);
    if (!c->json)
        plan_show(c, plan);
    if (arg_flag(c, "plan")) {
        if (c->json)
            give_job(c, job);
        else if (blocking == 0)
            say(c, "To apply exactly this plan: ocmctl %s%s%s %s --apply %s",
                c->command->name, c->arg_count > 1 ? " " : "",
                c->arg_count > 1 ? ch->source : "", ch->target,
                text_of(plan, "plan"));
    } else if (blocking > 0) {
        complain(c, "%zu warnings stop this plan: nothing was done", blocking);
        if (c->json)
            give_job(c, job);
        code = CLI_EXIT_FAILED;
    } else {
        fflush(c->io->out);
        code = agree(c, ch);
        if (code == 0)
            code = apply(c, ch, text_of(plan, "plan"));
    }
    json_decref(job);
    return code;
}

static int run_change(struct cli *c, const struct change *ch)
{
    const char *plan = arg_option(c, "apply");
    int code;

    if (!plan)
        return plan_and_apply(c, ch);
    if (arg_flag(c, "plan") || arg_flag(c, "snapshot") || arg_flag(c, "only") ||
        arg_flag(c, "rule") || arg_flag(c, "no-data") ||
        arg_flag(c, "install-openclaw") || arg_flag(c, "upgrade-state"))
        return usage_error(c, "--apply does what its plan says: no further "
                              "choices beside it");
    code = agree(c, ch);
    return code != 0 ? code : apply(c, ch, plan);
}

int cmd_restore(struct cli *c)
{
    struct change ch = {c->args[0], c->args[0], "restore", "restores"};

    return run_change(c, &ch);
}

/* --clone, --move, --intention, or a question. */
static int choose_intention(struct cli *c, struct change *ch)
{
    const char *word = arg_option(c, "intention");
    char answer[32];

    if (arg_flag(c, "clone") + arg_flag(c, "move") + (word != NULL) > 1)
        return usage_error(c, "clone or move: say it once");
    if (arg_flag(c, "clone"))
        word = "clone";
    if (arg_flag(c, "move"))
        word = "move";
    if (!word) {
        if (!ask(c, answer, sizeof(answer),
                 "clone (%s goes on, %s gets an identity of its own)\n"
                 "or move (%s takes over, %s is stopped for good)? ",
                 safe(ch->source), safe(ch->target), safe(ch->target),
                 safe(ch->source)))
            return usage_error(c, "say --clone or --move");
        word = answer;
    }
    if (strcmp(word, "clone") != 0 && strcmp(word, "move") != 0)
        return usage_error(c, "clone or move, not '%s'", word);
    ch->intention = strcmp(word, "clone") == 0 ? "clone" : "move";
    return 0;
}

int cmd_migrate(struct cli *c)
{
    struct change ch = {c->args[0], c->args[1], NULL, "migrations"};
    int code = 0;

    if (!arg_option(c, "apply"))
        code = choose_intention(c, &ch);
    return code != 0 ? code : run_change(c, &ch);
}
