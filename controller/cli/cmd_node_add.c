/* SPDX-License-Identifier: MIT */
/* node add: hosts from the command line or a file, some at a time, each on a
 * thread of its own; one that fails does not stop the others. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "controller/cli/add.h"

#define HOSTS_FILE_MAX (1024 * 1024)
#define AGENTS_INSTALLED "/usr/lib/ocm/agents"
#define PARALLEL 8

/* ---- hosts ---- */

static int bad_host(struct add *a, const char *text, const char *why)
{
    return usage_error(a->c, "'%s': %s", text, why);
}

/* "[user@]host[:port]", IPv6 in brackets when a port follows. */
static int parse_host(struct add *a, struct add_host *h, const char *text)
{
    const char *at = strrchr(text, '@'), *host = at ? at + 1 : text;
    const char *end = host + strlen(host), *colon = NULL;
    struct ssh_target t;
    struct error e = {0};

    if (*host == '[') {
        const char *close = strchr(host, ']');

        if (!close || (close[1] && close[1] != ':'))
            return bad_host(a, text, "no host");
        colon = close[1] ? close + 1 : NULL;
        end = close;
        host++;
    } else if (strchr(host, ':') == strrchr(host, ':')) {
        colon = strchr(host, ':');
        end = colon ? colon : end;
    }
    if (colon && !text_to_i64(colon + 1, 1, 65535, &h->port))
        return bad_host(a, text, "a port is from 1 to 65535");
    h->add = a;
    h->text = mem_strdup(text);
    h->host = mem_strndup(host, (size_t)(end - host));
    h->user = at ? mem_strndup(text, (size_t)(at - text)) : mem_strdup("");
    h->identity = mem_strdup("");
    h->jump = mem_strdup("");
    h->name = mem_strdup("");
    t = (struct ssh_target){h->host, h->user, "", "", h->port};
    if (ssh_target_check(&t, &e) < 0)
        return bad_host(a, text, e.text);
    return 0;
}

static int set_word(struct add *a, struct add_host *h, char *word)
{
    static const char *const names[] = {"name", "jump", "identity"};
    char **const to[] = {&h->name, &h->jump, &h->identity};
    char *value = strchr(word, '=');

    for (size_t i = 0; value && i < ARRAY_LEN(names); i++) {
        if (strncmp(word, names[i], (size_t)(value - word)) == 0 &&
            names[i][value - word] == '\0') {
            free(*to[i]);
            *to[i] = mem_strdup(value + 1);
            return 0;
        }
    }
    return usage_error(a->c,
                       "%s: '%s': behind a host stand name=, jump= or "
                       "identity=",
                       h->text, word);
}

static int add_host_line(struct add *a, char *line)
{
    char *rest = NULL, *word = strtok_r(line, " \t\r", &rest);
    struct add_host *h = &a->hosts[a->count];
    int code;

    if (!word || *word == '#')
        return 0;
    if (a->count == ADD_MAX_HOSTS)
        return usage_error(a->c, "more than %d hosts", ADD_MAX_HOSTS);
    a->count++;
    code = parse_host(a, h, word);
    while (code == 0 && (word = strtok_r(NULL, " \t\r", &rest)) != NULL)
        code = set_word(a, h, word);
    return code;
}

static int read_file(struct add *a, const char *path)
{
    struct buf text = {0};
    struct error e = {0};
    char *rest = NULL;
    int code = 0;

    if (file_read(path, HOSTS_FILE_MAX, &text, &e) < 0) {
        complain(a->c, "%s", e.text);
        return CLI_EXIT_FAILED;
    }
    for (char *line = strtok_r(buf_str(&text), "\n", &rest); line && code == 0;
         line = strtok_r(NULL, "\n", &rest))
        code = add_host_line(a, line);
    buf_free(&text);
    return code;
}

/* What stands on the command line is for every host that does not say it. */
static int apply_options(struct add *a)
{
    const char *port = arg_option(a->c, "port"),
               *name = arg_option(a->c, "name");
    const char *identity = arg_option(a->c, "identity");
    const char *jump = arg_option(a->c, "jump");
    int64_t number = 0;

    if (port && !text_to_i64(port, 1, 65535, &number))
        return usage_error(a->c, "--port must be from 1 to 65535");
    if (name && (a->count != 1 || !name_is_valid(name)))
        return usage_error(a->c, a->count != 1
                                     ? "--name is for one host; in a file "
                                       "write: host name=NAME"
                                     : "--name: use a-z, 0-9 and '-', at most "
                                       "40");
    for (size_t i = 0; i < a->count; i++) {
        struct add_host *h = &a->hosts[i];
        struct ssh_target t;
        struct error e = {0};

        if (!h->port)
            h->port = number;
        if (identity && !*h->identity) {
            free(h->identity);
            h->identity = mem_strdup(identity);
        }
        if (jump && !*h->jump) {
            free(h->jump);
            h->jump = mem_strdup(jump);
        }
        if (name && !*h->name) {
            free(h->name);
            h->name = mem_strdup(name);
        }
        t = (struct ssh_target){h->host, h->user, h->identity, h->jump,
                                h->port};
        if (ssh_target_check(&t, &e) < 0)
            return bad_host(a, h->text, e.text);
        if (*h->name && !name_is_valid(h->name))
            return bad_host(a, h->text, "name=: use a-z, 0-9 and '-'");
    }
    return 0;
}

static int collect_hosts(struct add *a)
{
    const char *file = arg_option(a->c, "file");
    int code = 0;

    a->hosts = mem_array(ADD_MAX_HOSTS, sizeof(*a->hosts));
    for (int i = 0; i < a->c->arg_count && code == 0; i++) {
        char *line = mem_strdup(a->c->args[i]);

        code = add_host_line(a, line);
        free(line);
    }
    if (code == 0 && file)
        code = read_file(a, file);
    if (code == 0 && a->count == 0)
        code = usage_error(a->c, "name the hosts, or give --file");
    return code == 0 ? apply_options(a) : code;
}

/* ---- work ---- */

static bool stop(void *arg)
{
    (void)arg;
    return cli_interrupted != 0;
}

static const char *option_or_empty(const struct add *a, const char *name)
{
    const char *v = arg_option(a->c, name);

    return v ? v : "";
}

static void work_on(struct add_host *h)
{
    struct add *a = h->add;
    struct bootstrap_order o = {
        .ssh =
            {
                .target = {h->host, h->user, h->identity, h->jump, h->port},
                .config = option_or_empty(a, "ssh-config"),
                .helper = a->helper,
                .known_hosts = buf_str(&a->known_hosts),
                .accept_new = arg_flag(a->c, "accept-new"),
                .forget_key = arg_flag(a->c, "new-host-key"),
                .prompt = add_prompt,
                .arg = h,
                .stop = stop,
            },
        .agent_dir = a->agent_dir,
        .name = h->name,
        .user = option_or_empty(a, "user"),
        .mode = option_or_empty(a, "mode"),
        .controller = option_or_empty(a, "controller"),
        .dry_run = arg_flag(a->c, "dry-run"),
        .no_backup = arg_flag(a->c, "no-backup"),
        .hooks = &add_hooks,
        .arg = h,
    };
    int64_t begun = clock_monotonic_ms();

    h->rc = bootstrap_run(&o, &h->remote, &h->plan, &h->e);
    h->seconds = (double)(clock_monotonic_ms() - begun) / 1000;
}

static void tell_end(struct add_host *h)
{
    if (h->rc < 0) {
        add_line(h, h->add->c->json ? false : true, "failed: %s", h->e.text);
        return;
    }
    if (h->add->c->json)
        return;
    for (size_t i = 0; i < h->plan.item_count; i++) {
        const struct bootstrap_item *it = &h->plan.items[i];

        if (arg_flag(h->add->c, "dry-run"))
            add_line(h, true, "nothing was changed");
        else
            add_line(h, true, "ok: %s%s%s, %.1f s", it->node_name,
                     it->backup[0] ? ", backup " : ", no backup", it->backup,
                     h->seconds);
    }
}

static void *worker(void *arg)
{
    struct add *a = arg;

    while (!cli_interrupted) {
        struct add_host *h;

        pthread_mutex_lock(&a->lock);
        h = a->next < a->count ? &a->hosts[a->next++] : NULL;
        pthread_mutex_unlock(&a->lock);
        if (!h)
            break;
        work_on(h);
        tell_end(h);
    }
    return NULL;
}

static void run_all(struct add *a, size_t parallel)
{
    pthread_t threads[ADD_MAX_PARALLEL];
    size_t n = 0;

    if (parallel > a->count)
        parallel = a->count;
    while (n < parallel && pthread_create(&threads[n], NULL, worker, a) == 0)
        n++;
    if (n == 0)
        worker(a);
    while (n > 0)
        pthread_join(threads[--n], NULL);
    for (size_t i = a->next; i < a->count; i++)
        a->hosts[i].rc = error_set(&a->hosts[i].e, OCM_E_CANCELLED,
                                   "interrupted before its turn");
}

/* ---- the end ---- */

static json_t *json_of_host(const struct add_host *h)
{
    json_t *nodes = json_array(), *v;

    for (size_t i = 0; i < h->plan.item_count; i++) {
        const struct bootstrap_item *it = &h->plan.items[i];

        json_array_append_new(
            nodes,
            json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "node",
                      it->node_name[0] ? it->node_name : it->node, "node_id",
                      it->node_id, "action", bootstrap_action_text(it->action),
                      "mode", it->mode[0] ? it->mode : h->plan.mode, "state",
                      it->state.dir, "backup", it->backup));
    }
    v = json_pack("{s:s,s:b,s:o,s:f}", "host", h->text, "ok", h->rc == 0,
                  "nodes", nodes, "seconds", h->seconds);
    json_object_set_new(v, "error",
                        h->rc < 0
                            ? json_pack("{s:s,s:s}", "code", error_name(h->rc),
                                        "text", h->e.text)
                            : json_null());
    return v;
}

static int finish(struct add *a)
{
    json_t *hosts = json_array();
    size_t failed = 0;
    int code = CLI_EXIT_OK;

    for (size_t i = 0; i < a->count; i++) {
        struct add_host *h = &a->hosts[i];

        json_array_append_new(hosts, json_of_host(h));
        if (h->rc == 0)
            continue;
        failed++;
        code = exit_of_code(error_name(h->rc));
    }
    if (failed > 0 && a->count > 1)
        code = CLI_EXIT_FAILED;
    if (cli_interrupted)
        code = CLI_EXIT_INTERRUPTED;
    if (a->count > 1)
        say(a->c, "%zu of %zu hosts done", a->count - failed, a->count);
    if (a->c->json) {
        json_t *doc =
            json_pack("{s:i,s:O}", "schemaVersion", 1, "hosts", hosts);

        give_json(a->c, doc);
        json_decref(doc);
    }
    json_decref(hosts);
    return code;
}

/* ---- where things are ---- */

/* This very program: ssh starts it again to ask. */
static char *own_path(void)
{
    char *path = realpath("/proc/self/exe", NULL);

    return path ? path : mem_strdup("/usr/bin/ocmctl");
}

char *add_agent_dir(struct cli *c)
{
    const char *given = arg_option(c, "agent-dir");
    char *own, *dir;

    if (given)
        return mem_strdup(given);
    if (dir_exists(AGENTS_INSTALLED))
        return mem_strdup(AGENTS_INSTALLED);
    own = own_path();
    *strrchr(own, '/') = '\0';
    dir = mem_printf("%s/../agents", own);
    free(own);
    return dir;
}

static void add_fini(struct add *a)
{
    for (size_t i = 0; i < a->count; i++) {
        struct add_host *h = &a->hosts[i];

        free(h->text);
        free(h->host);
        free(h->user);
        free(h->identity);
        free(h->jump);
        free(h->name);
    }
    free(a->hosts);
    free(a->helper);
    free(a->agent_dir);
    buf_free(&a->known_hosts);
    pthread_mutex_destroy(&a->lock);
    pthread_mutex_destroy(&a->asking_lock);
    pthread_mutex_destroy(&a->out_lock);
    add_terminal_close(a);
}

int cmd_node_add(struct cli *c)
{
    const char *n = arg_option(c, "parallel"), *mode = arg_option(c, "mode");
    struct add a = {.c = c, .yes = arg_flag(c, "yes"), .tty = -1};
    int64_t parallel = PARALLEL;
    int code;

    if (n && !text_to_i64(n, 1, ADD_MAX_PARALLEL, &parallel))
        return usage_error(c, "--parallel must be from 1 to %d",
                           ADD_MAX_PARALLEL);
    if (mode && strcmp(mode, "system") != 0 && strcmp(mode, "user") != 0 &&
        strcmp(mode, "cron") != 0)
        return usage_error(c, "--mode is system, user or cron");
    secret_init(); /* passwords pass through us: no core, no peeping */
    signal(SIGPIPE, SIG_IGN); /* of an ssh that has just ended */
    pthread_mutex_init(&a.lock, NULL);
    pthread_mutex_init(&a.asking_lock, NULL);
    pthread_mutex_init(&a.out_lock, NULL);
    a.helper = own_path();
    a.agent_dir = add_agent_dir(c);
    add_terminal_open(&a);
    code = add_read_secrets(&a, arg_option(c, "password-fd"));
    if (code == 0)
        code = collect_hosts(&a);
    if (code == 0 && !a.yes && !arg_flag(c, "dry-run") && a.tty < 0)
        code = usage_error(c, "nobody to ask: give --yes");
    if (code == 0)
        code = add_load_connections(&a);
    if (code == 0) {
        run_all(&a, (size_t)parallel);
        code = finish(&a);
    }
    add_fini(&a);
    return code;
}
