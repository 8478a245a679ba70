/* SPDX-License-Identifier: MIT */
/* Where OpenClaw's package may go on this node. */
#include "agent/openclaw/package.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/openclaw/install.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define BELOW_PREFIX "/lib/node_modules/openclaw"
#define USUAL_PREFIX ".npm-global"
#define COMMAND "/bin/openclaw"

bool package_version_is_valid(const char *version)
{
    size_t len = version ? strlen(version) : 0;

    return len > 0 && len < 40 && version[0] >= '0' && version[0] <= '9' &&
           strspn(version, "0123456789abcdefghijklmnopqrstuvwxyz.-") == len;
}

/* `path` without `end`, when it ends so. Caller frees. */
static char *without(const char *path, const char *end)
{
    return path && text_has_suffix(path, end)
               ? mem_strndup(path, strlen(path) - strlen(end))
               : NULL;
}

static int choose_prefix(const struct openclaw_conf *conf,
                         const struct openclaw *o, char **prefix,
                         struct error *e)
{
    const char *package = facts_get(&o->facts, "openclaw.package");
    const char *version = facts_get(&o->facts, "openclaw.version");
    char *folder = package ? without(package, "/openclaw") : NULL;
    bool ours = folder && access(folder, W_OK | X_OK) == 0;

    free(folder);
    *prefix = without(package, BELOW_PREFIX);
    if (version && (!*prefix || !ours)) {
        free(*prefix);
        *prefix = NULL;
        return error_set(e, OCM_E_DENIED,
                         "OpenClaw %s of this node (%s) is not its user's to "
                         "replace: install the other version by hand",
                         version, package ? package : "of unknown place");
    }
    if (!*prefix && *conf->bin)
        *prefix = without(conf->bin, COMMAND);
    else if (!*prefix)
        *prefix = path_join(o->home, USUAL_PREFIX);
    return *prefix ? 0
                   : error_set(e, OCM_E_DENIED,
                               "agent.conf says bin = %s, where npm puts no "
                               "command: take that line out first",
                               conf->bin);
}

int package_site(const struct openclaw_conf *conf, const struct openclaw *o,
                 struct package_site *out, struct error *e)
{
    const char *node = facts_get(&o->facts, "openclaw.node");
    char *prefix = NULL;
    struct stat st;
    int rc;

    *out = (struct package_site){0};
    if (stat(o->home, &st) == 0 && st.st_uid != geteuid())
        return error_set(e, OCM_E_DENIED,
                         "the agent is not the user of %s: install OpenClaw "
                         "there by hand",
                         o->home);
    rc = choose_prefix(conf, o, &prefix, e);
    if (rc < 0)
        return rc;
    out->package = mem_printf("%s" BELOW_PREFIX, prefix);
    out->command = mem_printf("%s" COMMAND, prefix);
    if (file_exists(out->command)) {
        free(out->command);
        out->command = NULL;
    }
    free(prefix);
    out->node = node ? mem_strdup(node) : install_program(o->home, "node");
    out->npm = install_program(o->home, "npm");
    if (!out->node || !out->npm)
        return error_set(e, OCM_E_NOTFOUND,
                         "there is no %s on this node: install Node.js first",
                         out->node ? "npm" : "node");
    return 0;
}

void package_site_fini(struct package_site *s)
{
    free(s->package);
    free(s->command);
    free(s->node);
    free(s->npm);
    *s = (struct package_site){0};
}
