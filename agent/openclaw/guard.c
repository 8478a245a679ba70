/* SPDX-License-Identifier: MIT */
/* The start guard and the fence: two files below ~/.config/ocm. The unit has a
 * drop-in that looks for them, written before it is needed and taken away
 * last; commands of agent.conf are only run by us, and we look as well.
 *
 * Order, so that a crash never leaves a gateway that starts too early: file
 * first, then drop-in, then daemon-reload; back: file, drop-in, reload. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/openclaw/gateway_internal.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define WHY_MAX 4096

int guard_check(const struct gateway *g, struct error *e)
{
    struct buf why = {0};
    int rc = 0;

    if (file_exists(g->fence_path)) {
        file_read(g->fence_path, WHY_MAX, &why, NULL);
        rc = error_set(e, OCM_E_DENIED,
                       "this gateway is fenced and must not start: %.*s",
                       (int)strcspn(buf_str(&why), "\n"), (char *)why.data);
    } else if (file_exists(g->guard_path)) {
        rc = error_set(e, OCM_E_DENIED,
                       "a restore is under way: the start guard %s is set",
                       g->guard_path);
    }
    buf_free(&why);
    return rc;
}

/* '%' begins a specifier in unit files. */
static void add_condition(struct buf *out, const char *path)
{
    buf_add_str(out, "ConditionPathExists=!");
    for (; *path; path++) {
        if (*path == '%')
            buf_add_byte(out, '%');
        buf_add_byte(out, (uint8_t)*path);
    }
    buf_add_byte(out, '\n');
}

/* The unit's drop-in as the two files demand it. */
static int settle_dropin(const struct gateway *g, struct error *e)
{
    bool wanted = file_exists(g->guard_path) || file_exists(g->fence_path);
    struct buf text = {0};
    struct error why = {0};
    bool changed;
    int rc;

    if (!g->has_unit)
        return 0;
    buf_add_str(&text, "# Set by OCM: while one of these files exists, this "
                       "gateway must not start.\n[Unit]\n");
    add_condition(&text, g->guard_path);
    add_condition(&text, g->fence_path);
    rc = systemd_dropin(g, OPENCLAW_GUARD_DROPIN, true,
                        wanted ? buf_str(&text) : NULL, &changed, e);
    buf_free(&text);
    if (rc < 0 || !changed)
        return rc;
    rc = systemd_reload(g, &why);
    if (rc == OCM_E_UNSUPPORTED) {
        /* no manager runs: it reads the drop-in when it starts */
        log_debug("guard: %s", why.text);
        return 0;
    }
    if (rc < 0)
        return error_set(e, rc, "%s", why.text);
    return 0;
}

static int set_file(const struct gateway *g, const char *path, bool on,
                    const char *text, struct error *e)
{
    char *dir = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    int rc = 0;

    if (on) {
        rc = dir_make(dir, 0700, e);
        if (rc == 0)
            rc = file_write(path, text, strlen(text), 0600, e);
    } else if (unlink(path) < 0 && errno != ENOENT) {
        rc = error_errno(e, "%s", path);
    } else if (dir_exists(dir)) {
        rc = dir_sync(dir, e);
    }
    free(dir);
    return rc < 0 ? rc : settle_dropin(g, e);
}

int gateway_guard(struct gateway *g, bool on, struct error *e)
{
    return set_file(g, g->guard_path, on,
                    "OCM is replacing the state of this gateway\n", e);
}

int gateway_fence(struct gateway *g, bool on, const char *why, struct error *e)
{
    char *line = mem_printf("%s\n", why && *why ? why : "by OCM");
    int rc = set_file(g, g->fence_path, on, line, e);

    free(line);
    return rc;
}

bool gateway_fenced(struct gateway *g, struct buf *why)
{
    struct buf text = {0};

    if (!file_exists(g->fence_path))
        return false;
    if (why && file_read(g->fence_path, WHY_MAX, &text, NULL) == 0)
        buf_add(why, text.data, strcspn(buf_str(&text), "\n"));
    buf_free(&text);
    return true;
}
