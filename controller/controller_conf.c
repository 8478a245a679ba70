/* SPDX-License-Identifier: MIT */
#include "controller/controller_conf.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define K(section, key, type, field, fallback, min, max, help)                 \
    {                                                                          \
        section, key, type, offsetof(struct controller_conf, field), fallback, \
            min, max, help                                                     \
    }

static const struct conf_key keys[] = {
    K("controller", "state_dir", CONF_PATH, state_dir, "/var/lib/ocm", 0, 0,
      "catalog, CA and caches"),
    K("controller", "name", CONF_STRING, name, "ocm-controller", 0, 0,
      "the name in our certificate, which agents expect"),
    K("controller", "log", CONF_STRING, log_level, "info", 0, 0,
      "error, warn, info or debug"),
    K("listen", "address", CONF_STRING, listen, "0.0.0.0", 0, 0,
      "where agents reach us"),
    K("listen", "advertise", CONF_STRING, advertise, "", 0, 0,
      "the name or address that nodes know us by; empty: address"),
    K("listen", "agents", CONF_INT, agent_port, "7701", 1, 65535,
      "port of the agents"),
    K("listen", "join", CONF_INT, join_port, "7702", 1, 65535,
      "port for joining"),
    K("repository", "path", CONF_STRING, repository, "", 0, 0,
      "restic repository; empty: repository in the state folder"),
    K("repository", "password_file", CONF_STRING, password_file, "", 0, 0,
      "its password; empty: repository.password in the state folder"),
    K("repository", "free_floor", CONF_BYTES, free_floor, "1G", 0, 0,
      "bytes that must stay free on its disk"),
    K("api", "socket", CONF_PATH, socket, "/run/ocm/controller.sock", 0, 0,
      "unix socket of the API"),
    K("api", "group", CONF_STRING, group, "", 0, 0,
      "members of this group may use it, beside root"),
    K("nodes", "certificate_days", CONF_INT, cert_days, "90", 1, 3650,
      "validity of node certificates; renewed at two thirds"),
    K("nodes", "keepalive", CONF_TIME, keepalive_ms, "30s", 1000, 3600 * 1000,
      "after so much silence each end asks whether the other is there"),
    K("nodes", "silence", CONF_TIME, silence_ms, "10m", 1000, 24 * 3600 * 1000,
      "how long a node may say nothing in a backup or plan"),
};

const struct conf_key *controller_conf_keys(size_t *count)
{
    *count = ARRAY_LEN(keys);
    return keys;
}

static void fall_back(char **value, const char *dir, const char *name)
{
    if (**value)
        return;
    free(*value);
    *value = path_join(dir, name);
}

int controller_conf_load(const char *path, struct controller_conf *out,
                         struct error *e)
{
    int rc;

    *out = (struct controller_conf){0};
    rc = path ? conf_load(path, keys, ARRAY_LEN(keys), out, e)
              : conf_parse("", "", 0, keys, ARRAY_LEN(keys), out, e);
    if (rc == 0 && log_level_parse(out->log_level) < 0)
        rc = error_set(e, OCM_E_INVALID,
                       "log is '%s', expected error, warn, info or debug",
                       out->log_level);
    if (rc == 0 && !name_is_valid(out->name))
        rc = error_set(e, OCM_E_INVALID,
                       "name is '%s': use a-z, 0-9 and '-', at most 40",
                       out->name);
    if (rc < 0) {
        controller_conf_free(out);
        return rc;
    }
    fall_back(&out->repository, out->state_dir, "repository");
    fall_back(&out->password_file, out->state_dir, "repository.password");
    return 0;
}

void controller_conf_free(struct controller_conf *c)
{
    conf_free(keys, ARRAY_LEN(keys), c);
}
