/* SPDX-License-Identifier: MIT */
#include "agent/agent_conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

#define UPGRADE_WAIT_MIN_MS 2000

#define K(section, key, type, field, fallback, help)                           \
    {                                                                          \
        section, key, type, offsetof(struct agent_conf, field), fallback, 0,   \
            0, help                                                            \
    }

static const struct conf_key keys[] = {
    K("agent", "state_dir", CONF_PATH, state_dir, "/var/lib/ocm-agent",
      "identity, cache and journals of this agent"),
    K("agent", "log", CONF_STRING, log_level, "info",
      "error, warn, info or debug"),
    K("agent", "reconnect_max", CONF_TIME, reconnect_max_ms, "60s",
      "longest wait between two attempts to connect"),
    K("agent", "upgrade_wait", CONF_TIME, upgrade_wait_ms, "60s",
      "an upgraded agent that is not connected by then is put back"),
    K("openclaw", "state_dir", CONF_STRING, oc_state_dir, "",
      "OpenClaw's state folder; empty: found by itself"),
    K("openclaw", "config", CONF_STRING, oc_config, "",
      "its openclaw.json; empty: in the state folder"),
    K("openclaw", "home", CONF_STRING, oc_home, "",
      "HOME of OpenClaw's user; empty: ours"),
    K("openclaw", "layout", CONF_STRING, oc_layout, "auto",
      "auto, openclaw, or yaml (gateway.yaml and plain files)"),
    K("openclaw", "bin", CONF_STRING, oc_bin, "",
      "the openclaw command; empty: looked for"),
    K("extra", "path", CONF_LIST, extra, NULL,
      "name=/absolute/path: also backed up, as data/extra/<name>"),
    K("exclude", "path", CONF_LIST, exclude, NULL,
      "pattern of snapshot paths to leave out, e.g. data/workspace/*/build"),
    K("gateway", "control", CONF_STRING, control, "auto",
      "auto, user-unit, system-unit, cli, exec or manual"),
    K("gateway", "unit", CONF_STRING, unit, "",
      "its systemd unit; empty: openclaw-gateway"),
    K("gateway", "exec_start", CONF_STRING, exec_start, "",
      "control = exec: command that starts it and returns"),
    K("gateway", "exec_stop", CONF_STRING, exec_stop, "",
      "control = exec: command that stops it"),
    K("gateway", "exec_status", CONF_STRING, exec_status, "",
      "control = exec: command that exits 0 while it runs"),
    K("gateway", "health_wait", CONF_TIME, health_wait_ms, "120s",
      "how long a start may take until it is healthy"),
    K("gateway", "stop_wait", CONF_TIME, stop_bound_ms, "30s",
      "how long a stop may take before it is killed"),
    K("limits", "database_time", CONF_TIME, database_ms, "120s",
      "how long the copy of one database may take"),
    K("limits", "wal_growth", CONF_BYTES, wal_growth, "512M",
      "how much its WAL may grow meanwhile"),
};

const struct conf_key *agent_conf_keys(size_t *count)
{
    *count = ARRAY_LEN(keys);
    return keys;
}

int agent_conf_load(const char *path, struct agent_conf *out, struct error *e)
{
    int rc;

    *out = (struct agent_conf){0};
    rc = path ? conf_load(path, keys, ARRAY_LEN(keys), out, e)
              : conf_parse("", "", 0, keys, ARRAY_LEN(keys), out, e);
    if (rc == 0 && log_level_parse(out->log_level) < 0)
        rc = error_set(e, OCM_E_INVALID,
                       "%s: log is '%s', expected error, warn, info or debug",
                       path ? path : "agent", out->log_level);
    if (rc == 0 && out->upgrade_wait_ms < UPGRADE_WAIT_MIN_MS)
        rc = error_set(e, OCM_E_INVALID, "%s: upgrade_wait is at least %d s",
                       path ? path : "agent", UPGRADE_WAIT_MIN_MS / 1000);
    if (rc == 0 && !*out->oc_home) {
        const char *home = getenv("HOME");

        free(out->oc_home);
        out->oc_home = mem_strdup(home ? home : "/root");
    }
    if (rc < 0)
        agent_conf_free(out);
    return rc;
}

void agent_conf_free(struct agent_conf *c)
{
    conf_free(keys, ARRAY_LEN(keys), c);
}

struct openclaw_conf agent_conf_openclaw(const struct agent_conf *c)
{
    return (struct openclaw_conf){
        .state_dir = c->oc_state_dir,
        .config_path = c->oc_config,
        .home = c->oc_home,
        .layout = c->oc_layout,
        .bin = c->oc_bin,
        .extra = &c->extra,
        .exclude = &c->exclude,
        .control = c->control,
        .unit = c->unit,
        .exec_start = c->exec_start,
        .exec_stop = c->exec_stop,
        .exec_status = c->exec_status,
    };
}

#define I(key, type, field)                                                    \
    {                                                                          \
        "", key, type, offsetof(struct identity, field), NULL, 0, 0, ""        \
    }

static const struct conf_key identity_keys[] = {
    I("node_id", CONF_STRING, node_id),
    I("node_name", CONF_STRING, node_name),
    I("host", CONF_STRING, host),
    I("port", CONF_INT, port),
    I("controller", CONF_STRING, controller),
};

int identity_load(const char *state_dir, struct identity *out, struct error *e)
{
    char *path = path_join(state_dir, "identity.conf");
    int rc;

    *out = (struct identity){0};
    rc = conf_load(path, identity_keys, ARRAY_LEN(identity_keys), out, e);
    if (rc == -ENOENT)
        error_set(e, rc,
                  "%s: this agent has not joined a controller yet; run "
                  "ocm-agent join",
                  path);
    if (rc == 0 && (!out->node_id || !out->node_name || !out->host ||
                    !out->controller || out->port < 1 || out->port > 65535))
        rc = error_set(e, OCM_E_INVALID, "%s: incomplete; join again", path);
    if (rc < 0)
        identity_free(out);
    free(path);
    return rc;
}

int identity_save(const char *state_dir, const struct identity *id,
                  struct error *e)
{
    char *path = path_join(state_dir, "identity.conf");
    struct buf b = {0};
    int rc;

    buf_printf(&b,
               "# written by ocm-agent join\n"
               "node_id = %s\nnode_name = %s\nhost = %s\nport = %lld\n"
               "controller = %s\n",
               id->node_id, id->node_name, id->host, (long long)id->port,
               id->controller);
    rc = file_write(path, b.data, b.len, 0600, e);
    buf_free(&b);
    free(path);
    return rc;
}

void identity_free(struct identity *id)
{
    conf_free(identity_keys, ARRAY_LEN(identity_keys), id);
}

int agent_secret_file(const char *state_dir, const char *name, uint8_t *out,
                      size_t len, struct error *e)
{
    char *path = path_join(state_dir, name);
    struct buf b = {0};
    int rc = file_read(path, len, &b, e);

    if (rc == -ENOENT) {
        secret_random(out, len);
        rc = file_write(path, out, len, 0600, e);
    } else if (rc == 0 && b.len != len) {
        rc = error_set(e, OCM_E_DAMAGED, "%s: %zu bytes, expected %zu", path,
                       b.len, len);
    } else if (rc == 0) {
        memcpy(out, b.data, len);
    }
    buf_wipe(&b);
    free(path);
    return rc;
}
