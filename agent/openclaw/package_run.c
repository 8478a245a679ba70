/* SPDX-License-Identifier: MIT */
/* npm, and OpenClaw's doctor as the upgrade of a state. */
#include <stdlib.h>
#include <string.h>

#include "agent/openclaw/gateway_internal.h"
#include "agent/openclaw/package.h"
#include "common/base/mem.h"

/* both below what the controller waits for a word */
#define INSTALL_MS (12 * 60 * 1000)
#define UPGRADE_MS (10 * 60 * 1000)

/* Run it; its last words go into `words`. */
static int run(const char *const *argv, struct cli_env *env, int64_t timeout_ms,
               const atomic_bool *cancelled, char words[200], struct error *e)
{
    struct process_job job = {.argv = argv,
                              .env = (const char *const *)env->items,
                              .timeout_ms = timeout_ms};
    int rc = process_run(&job, 1, cancelled, e);

    process_job_text(&job, words, 200);
    if (rc == 0 && job.exit_code != 0)
        rc = error_set(e, OCM_E_FAILED, "it ended with %d%s%s", job.exit_code,
                       *words ? ": " : "", words);
    process_job_fini(&job);
    cli_env_fini(env);
    return rc;
}

int gateway_install(struct gateway *g, const struct package_site *s,
                    const char *version, const char *prefix,
                    const atomic_bool *cancelled, struct error *e)
{
    char *what = mem_printf("openclaw@%s", version), words[200];
    const char *argv[CLI_MAX_WORDS + 8];
    struct cli_env env;
    size_t n = 0;
    int rc;

    argv[n++] = s->npm;
    argv[n++] = "install";
    argv[n++] = "--global";
    argv[n++] = "--prefix";
    argv[n++] = prefix;
    argv[n++] = "--engine-strict"; /* a Node too old for it is an error */
    argv[n++] = "--no-audit";
    argv[n++] = "--no-fund";
    argv[n++] = "--loglevel=error";
    argv[n++] = what;
    argv[n] = NULL;
    cli_env_npm(g, s->node, &env);
    rc = run(argv, &env, INSTALL_MS, cancelled, words, e);
    if (rc < 0)
        error_prefix(e, "npm install %s", what);
    free(what);
    return rc;
}

int gateway_upgrade(struct gateway *g, const atomic_bool *cancelled,
                    struct buf *said, struct error *e)
{
    static const char *const words[] = {"doctor", "--fix", "--non-interactive",
                                        NULL};
    const char *argv[CLI_MAX_WORDS + 8];
    struct cli_env env;
    char text[200];
    int rc;

    if (!g->install.bin)
        return error_set(e, OCM_E_NOTFOUND,
                         "there is no OpenClaw to upgrade the state with");
    cli_argv(g, words, argv);
    cli_env_openclaw(g, &env);
    rc = run(argv, &env, UPGRADE_MS, cancelled, text, e);
    buf_add_str(said, text);
    return rc < 0 ? error_prefix(e, "openclaw doctor --fix") : 0;
}
