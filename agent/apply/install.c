/* SPDX-License-Identifier: MIT */
/* OpenClaw itself, where it is missing or another version: npm installs the
 * backup's version into the stage, and its package and command go live and
 * back with the swap, as places of their own. */
#include "agent/apply/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/apply/fault.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

/* The target as it will be, for rules and warnings. */
static void tell_facts(struct apply *a)
{
    struct facts *f = &a->target.facts;
    const char *schema = facts_get(&a->snap.facts, "state.schema");

    facts_set(f, "openclaw.version", a->install);
    facts_set(f, "openclaw.package", a->site.package);
    facts_set(f, "openclaw.node", a->site.node);
    if (schema)
        facts_set(f, "openclaw.schema.state", schema);
}

void apply_install_choose(struct apply *a)
{
    const char *came = adapt_source_version(&a->snap.facts);
    const char *here = facts_get(&a->target.facts, "openclaw.version");
    struct plan *plan = &a->out->plan;
    struct error why = {0};
    char *text;

    a->package_place = a->command_place = SNAP_NONE;
    if (!a->o->install_openclaw || a->snap.era == ERA_YAML ||
        (here && came && strcmp(here, came) == 0))
        return;
    if (!package_version_is_valid(came)) {
        plan_warn(plan, "install", true, "", "", "",
                  "the backup does not say which OpenClaw wrote it, so none "
                  "can be installed");
        return;
    }
    if (package_site(&a->conf, &a->target, &a->site, &why) < 0) {
        plan_warn(plan, "install", true, "", "", "",
                  "OpenClaw %s cannot be installed: %s", came, why.text);
        return;
    }
    a->install = mem_strdup(came);
    text = mem_printf("%s in %s", came, a->site.package);
    plan_add_edit(plan, "", "", "openclaw", here ? here : "(none)", text,
                  "install", false);
    free(text);
    tell_facts(a);
}

static uint32_t add_whole(struct apply *a, const char *path)
{
    char *real = path ? target_real(path) : NULL;
    uint32_t place = real ? target_add_place(a, real) : SNAP_NONE;

    if (real)
        a->places[place].whole = true;
    free(real);
    return place;
}

void apply_install_place(struct apply *a)
{
    if (!a->install)
        return;
    a->package_place = add_whole(a, a->site.package);
    a->command_place = add_whole(a, a->site.command);
}

/* Why the state cannot be copied and put back as one folder, or NULL. */
static const char *no_way_to_upgrade(const struct apply *a)
{
    const struct place *state = NULL;

    for (size_t i = 0; i < a->place_count; i++)
        if (strcmp(a->places[i].path, a->state_real) == 0)
            state = &a->places[i];
    if (!state)
        return "no part of the state directory is restored";
    if (state->inside || target_is_mount(a, state->path))
        return "the state directory is a file system of its own, or its "
               "parent folder is not the agent's to write";
    for (size_t i = 0; i < a->mount_count; i++)
        if (path_is_below(a->mounts[i], state->path))
            return "another file system is mounted in the state directory";
    if (path_is_below(a->o->work_dir, state->path))
        return "the agent keeps its own files in the state directory";
    return NULL;
}

void apply_install_check(struct apply *a)
{
    const char *came = adapt_source_version(&a->snap.facts);
    const char *here = facts_get(&a->target.facts, "openclaw.version");
    const char *why;

    if (!a->o->upgrade_state || adapt_version_compare(came, here) >= 0)
        return;
    why = no_way_to_upgrade(a);
    if (why)
        plan_warn(&a->out->plan, "upgrade", true, "", "", "",
                  "an upgrade could not be undone: %s", why);
}

/* ---- into the stage ---- */

/* What npm made goes where the swap looks for the place. */
static int take(struct apply *a, const char *made, uint32_t place,
                struct error *e)
{
    const struct place *p = &a->places[place];
    char *to = mem_printf("%s/new/%s", a->stages[p->stage].dir, p->label);
    int rc = rename(made, to) == 0 ? 0 : error_errno(e, "npm made no %s", made);

    free(to);
    return rc;
}

int apply_install_stage(struct apply *a, struct error *e)
{
    char *prefix, *package, *command;
    int rc = 0;

    if (!a->install)
        return 0;
    apply_say(a, "install", NULL);
    prefix =
        mem_printf("%s/npm", a->stages[a->places[a->package_place].stage].dir);
    package = path_join(prefix, "lib/node_modules/openclaw");
    command = path_join(prefix, "bin/openclaw");
    if (mkdir(prefix, 0700) < 0)
        rc = error_errno(e, "%s", prefix);
    if (rc == 0)
        rc = gateway_install(a->gateway, &a->site, a->install, prefix,
                             a->o->cancelled, e);
    apply_point();
    if (rc == 0)
        rc = take(a, package, a->package_place, e);
    if (rc == 0 && a->command_place != SNAP_NONE)
        rc = take(a, command, a->command_place, e);
    if (rc == 0)
        rc = tree_remove(prefix, e);
    if (rc == 0)
        apply_log(a, "info", "OpenClaw %s is installed in %s", a->install,
                  a->site.package);
    free(prefix);
    free(package);
    free(command);
    return rc;
}

void apply_install_fini(struct apply *a)
{
    free(a->install);
    a->install = NULL;
    package_site_fini(&a->site);
}
