/* SPDX-License-Identifier: MIT */
#include "controller/bootstrap/plan.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

bool plan_wants_sudo(const struct bootstrap_order *o, const struct remote *r)
{
    if (is(r->sudo, "root") || is(o->mode, "user"))
        return false;
    /* whether "maybe" may is not found out by asking in vain */
    return is(r->sudo, "nopasswd") || is(r->sudo, "password") ||
           (is(r->sudo, "maybe") && is(o->mode, "system"));
}

/* "Web_1.example" as a name of a node or of an agent: "web-1-example". */
static void make_name(const char *from, char *out, size_t cap)
{
    size_t n = 0;

    for (; *from && n + 1 < cap && n < NAME_MAX_LEN; from++) {
        unsigned char c = (unsigned char)*from;

        if (isalnum(c))
            out[n++] = (char)tolower(c);
        else if (n > 0 && out[n - 1] != '-')
            out[n++] = '-';
    }
    while (n > 0 && out[n - 1] == '-')
        n--;
    out[n] = '\0';
}

static bool is_default_dir(const struct remote_state *s)
{
    size_t n = strlen(s->home);

    return strncmp(s->dir, s->home, n) == 0 && is(s->dir + n, "/.openclaw");
}

/* The agent that is there for this OpenClaw. */
static const struct remote_instance *agent_of(const struct remote *r,
                                              const struct remote_state *s)
{
    for (size_t i = 0; i < r->instance_count; i++) {
        const struct remote_instance *a = &r->instances[i];

        if (a->state[0]
                ? is(a->state, s->dir)
                : is(a->home, s->home) && (!s->dir[0] || is_default_dir(s)))
            return a;
    }
    return NULL;
}

/* "claw", "claw-work" for a profile, "claw-2" for another folder. */
static void name_instance(const struct bootstrap_plan *plan,
                          struct bootstrap_item *it)
{
    const struct remote_state *s = &it->state;
    char text[200];

    if (!s->dir[0] || is_default_dir(s))
        snprintf(text, sizeof(text), "%s", s->user);
    else if (s->profile[0])
        snprintf(text, sizeof(text), "%s-%s", s->user, s->profile);
    else
        snprintf(text, sizeof(text), "%s-%s", s->user,
                 strrchr(s->dir, '/') + 1);
    make_name(text, it->instance, sizeof(it->instance));
    for (size_t i = 0; i < plan->item_count; i++) {
        if (is(plan->items[i].instance, it->instance)) {
            snprintf(text, sizeof(text), "%.30s-%zu", it->instance,
                     plan->item_count + 1);
            make_name(text, it->instance, sizeof(it->instance));
            break;
        }
    }
}

static void add_item(const struct remote *r, const struct remote_state *s,
                     const char *agent_sha256, struct bootstrap_plan *plan)
{
    struct bootstrap_item *it = &plan->items[plan->item_count];
    const struct remote_instance *a = agent_of(r, s);

    memset(it, 0, sizeof(*it));
    it->state = *s;
    if (a && name_is_valid(a->name)) {
        snprintf(it->instance, sizeof(it->instance), "%s", a->name);
        snprintf(it->node_id, sizeof(it->node_id), "%s", a->node_id);
        it->action = is(r->agent_sha256, agent_sha256) ? BOOTSTRAP_REPAIR
                                                       : BOOTSTRAP_UPGRADE;
    } else {
        name_instance(plan, it);
        it->action = BOOTSTRAP_INSTALL;
    }
    it->join = !it->node_id[0];
    plan->item_count++;
}

/* One OpenClaw gives the node the host's name; several are told apart. */
static void name_nodes(const struct bootstrap_order *o, const struct remote *r,
                       struct bootstrap_plan *plan)
{
    char base[64], host[128];

    snprintf(host, sizeof(host), "%s", *o->name ? o->name : r->host);
    if (!*o->name)
        host[strcspn(host, ".")] = '\0';
    make_name(host, base, sizeof(base));
    if (!base[0])
        snprintf(base, sizeof(base), "node");
    for (size_t i = 0; i < plan->item_count; i++) {
        char text[200];

        if (plan->item_count == 1)
            snprintf(text, sizeof(text), "%s", base);
        else
            snprintf(text, sizeof(text), "%s-%s", base,
                     plan->items[i].instance);
        make_name(text, plan->items[i].node, sizeof(plan->items[i].node));
    }
}

static void choose_mode(const struct bootstrap_order *o, const struct remote *r,
                        struct bootstrap_plan *plan)
{
    bool systemd = is(r->init, "systemd");
    bool root = is(r->sudo, "root") || plan->sudo;

    snprintf(plan->mode, sizeof(plan->mode), "%s",
             *o->mode   ? o->mode
             : !systemd ? "cron"
             : root     ? "system"
                        : "user");
}

int plan_make(const struct bootstrap_order *o, const struct remote *r,
              const char *agent_sha256, struct bootstrap_plan *plan,
              struct error *e)
{
    bool root = is(r->sudo, "root") || plan->sudo;

    plan->item_count = 0;
    choose_mode(o, r, plan);
    for (size_t i = 0; i < r->state_count; i++) {
        const struct remote_state *s = &r->states[i];

        if (*o->user ? is(s->user, o->user) : root || is(s->user, r->user))
            add_item(r, s, agent_sha256, plan);
    }
    if (plan->item_count == 0 && *o->user) {
        struct remote_state none = {0};

        snprintf(none.user, sizeof(none.user), "%s", o->user);
        add_item(r, &none, agent_sha256, plan);
    }
    if (plan->item_count == 0)
        return error_set(
            e, OCM_E_NOTFOUND,
            "no OpenClaw was found there (looked at %s); if one is to be "
            "brought there, name its user: --user NAME",
            root ? "the homes of all users" : "the home of this user alone");
    name_nodes(o, r, plan);
    return 0;
}

const char *bootstrap_action_text(enum bootstrap_action a)
{
    return a == BOOTSTRAP_INSTALL   ? "install"
           : a == BOOTSTRAP_UPGRADE ? "upgrade"
                                    : "repair";
}
