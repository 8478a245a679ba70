/* SPDX-License-Identifier: MIT */
/* The marker file of upgrades. */
#include "agent/upgrade/state.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/conf.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define K(key, type, field)                                                    \
    {                                                                          \
        "", key, type, offsetof(struct upgrade_state, field),                  \
            type == CONF_STRING ? "" : NULL, 0, 0, ""                          \
    }

static const struct conf_key keys[] = {
    K("current", CONF_STRING, current),
    K("version", CONF_STRING, version),
    K("sha256", CONF_STRING, sha256),
    K("previous", CONF_STRING, previous),
    K("previous_version", CONF_STRING, previous_version),
    K("previous_sha256", CONF_STRING, previous_sha256),
    K("installed_version", CONF_STRING, installed_version),
    K("trial", CONF_BOOL, trial),
    K("attempts", CONF_INT, attempts),
    K("undone", CONF_STRING, undone),
};

static char *path_of(const char *state_dir)
{
    return path_join(state_dir, "upgrade.conf");
}

int upgrade_state_load(const char *state_dir, struct upgrade_state *out,
                       struct error *e)
{
    char *path = path_of(state_dir);
    int rc;

    *out = (struct upgrade_state){0};
    rc = conf_load(path, keys, ARRAY_LEN(keys), out, e);
    free(path);
    return rc == -ENOENT ? 0 : rc;
}

int upgrade_state_save(const char *state_dir, const struct upgrade_state *s,
                       struct error *e)
{
    char *path = path_of(state_dir);
    struct buf b = {0};
    int rc;

    buf_printf(&b,
               "# written by ocm-agent: which agent is to run\n"
               "current = %s\nversion = %s\nsha256 = %s\nprevious = %s\n"
               "previous_version = %s\nprevious_sha256 = %s\n"
               "installed_version = %s\ntrial = %s\nattempts = %lld\n"
               "undone = %s\n",
               s->current, s->version, s->sha256, s->previous,
               s->previous_version, s->previous_sha256, s->installed_version,
               s->trial ? "yes" : "no", (long long)s->attempts, s->undone);
    rc = file_write(path, b.data, b.len, 0600, e);
    buf_free(&b);
    free(path);
    return rc;
}

void upgrade_state_fini(struct upgrade_state *s)
{
    conf_free(keys, ARRAY_LEN(keys), s);
}

void upgrade_state_set(char **field, const char *value)
{
    char *copy = mem_strdup(value);

    free(*field);
    *field = copy;
}

void upgrade_state_forget(const char *state_dir, struct upgrade_state *s)
{
    char *path = path_of(state_dir);

    unlink(path);
    free(path);
    upgrade_state_fini(s);
    upgrade_state_load(state_dir, s, NULL);
}

int upgrade_state_undo(const char *state_dir, struct upgrade_state *s,
                       const char *why, struct error *e)
{
    char *text = mem_printf("%s: %s", s->version, why);

    upgrade_state_set(&s->undone, text);
    free(text);
    upgrade_state_set(&s->current, s->previous);
    upgrade_state_set(&s->version, s->previous_version);
    upgrade_state_set(&s->sha256, s->previous_sha256);
    upgrade_state_set(&s->previous, "");
    upgrade_state_set(&s->previous_version, "");
    upgrade_state_set(&s->previous_sha256, "");
    s->trial = false;
    s->attempts = 0;
    return upgrade_state_save(state_dir, s, e);
}
