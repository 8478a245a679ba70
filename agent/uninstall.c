/* SPDX-License-Identifier: MIT */
/* The places are those of deploy/bootstrap.sh and of the packages: a config
 * below the user's home means that unit, crontab line and program are the
 * user's own; any other belongs to root, and is left to root. */
#include "agent/uninstall.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/openclaw/openclaw.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/process.h"
#include "common/base/text.h"

#define TOOL_MS 20000
#define CONF_PREFIX "agent-"
#define CONF_SUFFIX ".conf"

static const char *const last_files[] = {"node.pem", "ca.pem", "identity.conf"};

struct work {
    const struct agent_conf *conf;
    const char *config;
    char *instance; /* of .../agent-<instance>.conf; NULL: another name */
    char *conf_dir;
    const char *home;
    bool own; /* the config is below our home */
    struct uninstall_report *out;
};

static void add(struct uninstall_list *l, char *line)
{
    l->lines = mem_grow(l->lines, &l->cap, l->count + 1, sizeof(*l->lines));
    l->lines[l->count++] = line;
}

static void list_fini(struct uninstall_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->lines[i]);
    free(l->lines);
    *l = (struct uninstall_list){0};
}

void uninstall_report_fini(struct uninstall_report *r)
{
    list_fini(&r->removed);
    list_fini(&r->left);
}

/* ---- files ---- */

static void remove_file(struct work *w, const char *path)
{
    if (unlink(path) == 0)
        add(&w->out->removed, mem_strdup(path));
    else if (errno != ENOENT)
        add(&w->out->left, mem_printf("rm %s    (%s)", path, strerror(errno)));
}

static void remove_home_file(struct work *w, const char *rel)
{
    char *path = path_join(w->home, rel);

    remove_file(w, path);
    free(path);
}

static bool is_last(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(last_files); i++) {
        if (strcmp(name, last_files[i]) == 0)
            return true;
    }
    return false;
}

static int check_settled(const char *state_dir, struct error *e)
{
    DIR *dir = opendir(state_dir);
    struct dirent *d;
    int rc = 0;

    while (dir && rc == 0 && (d = readdir(dir)) != NULL) {
        if (text_has_suffix(d->d_name, ".journal"))
            rc = error_set(e, OCM_E_BUSY,
                           "%s/%s: an interrupted restore is not settled; "
                           "restart the agent, then try again",
                           state_dir, d->d_name);
    }
    if (dir)
        closedir(dir);
    return rc;
}

/* All in the state folder, what makes us this node at the very end. */
static int remove_state(struct work *w, struct error *e)
{
    const char *state = w->conf->state_dir;
    DIR *dir = opendir(state);
    struct dirent *d;
    int rc = 0;

    while (dir && rc == 0 && (d = readdir(dir)) != NULL) {
        char *path = path_join(state, d->d_name);

        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
            !is_last(d->d_name))
            rc = tree_remove(path, e);
        free(path);
    }
    if (dir)
        closedir(dir);
    for (size_t i = 0; i < ARRAY_LEN(last_files) && rc == 0; i++) {
        char *path = path_join(state, last_files[i]);

        rc = tree_remove(path, e);
        free(path);
    }
    if (rc < 0)
        return rc;
    add(&w->out->removed, mem_strdup(state));
    if (rmdir(state) < 0 && errno != ENOENT)
        add(&w->out->left,
            mem_printf("rmdir %s    (empty; %s)", state, strerror(errno)));
    return 0;
}

/* ---- what starts us ---- */

static bool run_tool(const char *const *argv, struct buf *out)
{
    struct process_job job = {.argv = argv, .timeout_ms = TOOL_MS};
    bool good = process_run(&job, 1, NULL, NULL) == 0 && job.exit_code == 0;

    if (good && out)
        *out = buf_take(&job.out);
    process_job_fini(&job);
    return good;
}

static bool is_our_line(const struct work *w, const char *line, size_t len)
{
    char *text = mem_strndup(line, len), *mark;
    bool ours;

    mark = mem_printf("# ocm-agent %s", w->instance);
    ours = text_has_suffix(text, mark);
    free(mark);
    free(text);
    return ours;
}

static void remove_from_crontab(struct work *w)
{
    static const char *const list[] = {"crontab", "-l", NULL};
    char *path = path_join(w->conf->state_dir, "crontab.new");
    const char *set[] = {"crontab", path, NULL};
    struct buf old = {0}, rest = {0};
    struct error e = {0};
    bool found = false;

    if (run_tool(list, &old)) {
        for (const char *at = buf_str(&old), *end; *at; at = end) {
            end = at + strcspn(at, "\n");
            if (is_our_line(w, at, (size_t)(end - at))) {
                found = true;
                end += *end != 0;
                continue;
            }
            end += *end != 0;
            buf_add(&rest, at, (size_t)(end - at));
        }
    }
    if (found && (file_write(path, rest.data, rest.len, 0600, &e) < 0 ||
                  !run_tool(set, NULL)))
        add(&w->out->left,
            mem_printf("crontab -e    (take the line '# ocm-agent %s' out)",
                       w->instance));
    else if (found)
        add(&w->out->removed,
            mem_printf("crontab line # ocm-agent %s", w->instance));
    unlink(path);
    buf_free(&old);
    buf_free(&rest);
    free(path);
}

static void remove_user_unit(struct work *w)
{
    char *unit = mem_printf("ocm-agent@%s.service", w->instance);
    char *link = mem_printf("%s/.config/systemd/user/default.target.wants/%s",
                            w->home, unit);

    /* not stopped: it is us. The link is all that enables it. */
    remove_file(w, link);
    free(link);
    free(unit);
}

static bool other_instances(const struct work *w)
{
    DIR *dir = opendir(w->conf_dir);
    struct dirent *d;
    bool found = false;

    while (dir && (d = readdir(dir)) != NULL)
        found = found || (text_has_prefix(d->d_name, CONF_PREFIX) &&
                          text_has_suffix(d->d_name, CONF_SUFFIX));
    if (dir)
        closedir(dir);
    return found;
}

static void remove_own(struct work *w)
{
    static const char *const reload[] = {"systemctl", "--user", "daemon-reload",
                                         NULL};

    remove_from_crontab(w);
    remove_user_unit(w);
    remove_file(w, w->config);
    if (other_instances(w))
        return;
    remove_home_file(w, ".config/systemd/user/ocm-agent@.service");
    remove_home_file(w, ".local/lib/ocm/ocm-agent-keep");
    remove_home_file(w, ".local/bin/ocm-agent");
    rmdir(w->conf_dir);
    run_tool(reload, NULL);
}

static void name_what_is_roots(struct work *w)
{
    add(&w->out->left, mem_printf("as root: systemctl disable --now "
                                  "ocm-agent@%s.service",
                                  w->instance));
    add(&w->out->left, mem_printf("as root: rm -rf %s /etc/systemd/system/"
                                  "ocm-agent@%s.service.d",
                                  w->config, w->instance));
}

/* A fence is not ours to take away: it keeps a gateway that was moved from
 * running twice. Who may want to is told how. */
static void name_fences(struct work *w)
{
    char *path = path_join(w->conf->oc_home, OPENCLAW_OCM_DIR);
    DIR *dir = opendir(path);
    struct dirent *d;

    while (dir && (d = readdir(dir)) != NULL) {
        if (text_has_suffix(d->d_name, ".fence"))
            add(&w->out->left,
                mem_printf("rm %s/%s    (only if OpenClaw is to run here "
                           "again: it was moved away, and is fenced)",
                           path, d->d_name));
    }
    if (dir)
        closedir(dir);
    free(path);
}

/* agent-<instance>.conf, below our home or not? */
static void look_around(struct work *w)
{
    const char *slash = w->config ? strrchr(w->config, '/') : NULL;
    const char *name = slash ? slash + 1 : "";
    size_t len = strlen(name);

    w->home = getenv("HOME");
    if (!w->home)
        w->home = "";
    if (!slash || !text_has_prefix(name, CONF_PREFIX) ||
        !text_has_suffix(name, CONF_SUFFIX))
        return;
    w->instance = mem_strndup(name + strlen(CONF_PREFIX),
                              len - strlen(CONF_PREFIX) - strlen(CONF_SUFFIX));
    w->conf_dir = mem_strndup(w->config, (size_t)(slash - w->config));
    w->own = *w->home == '/' && path_is_below(w->config, w->home);
}

int uninstall(const struct agent_conf *conf, const char *config,
              struct uninstall_report *out, struct error *e)
{
    struct work w = {.conf = conf, .config = config, .out = out};
    int rc = check_settled(conf->state_dir, e);

    if (rc < 0)
        return rc;
    look_around(&w);
    if (w.instance && w.own)
        remove_own(&w);
    else if (w.instance)
        name_what_is_roots(&w);
    name_fences(&w);
    rc = remove_state(&w, e);
    free(w.instance);
    free(w.conf_dir);
    return rc;
}
