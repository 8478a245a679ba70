/* SPDX-License-Identifier: MIT */
/* Which way a gateway is controlled. */
#include "agent/openclaw/control.h"

#include <string.h>

#include "common/base/mem.h"

static const char *const names[] = {
    [CONTROL_USER_UNIT] = "user-unit",
    [CONTROL_SYSTEM_UNIT] = "system-unit",
    [CONTROL_CLI] = "cli",
    [CONTROL_EXEC] = "exec",
    [CONTROL_MANUAL] = "manual",
};

enum control control_choose(const struct openclaw_conf *conf,
                            const struct unit *u)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (conf->control && strcmp(conf->control, names[i]) == 0)
            return (enum control)i;
    }
    if (conf->exec_start && *conf->exec_start)
        return CONTROL_EXEC;
    if (u)
        return u->system ? CONTROL_SYSTEM_UNIT : CONTROL_USER_UNIT;
    return CONTROL_MANUAL;
}

const char *control_name(enum control c)
{
    return names[c];
}
