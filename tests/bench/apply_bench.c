/* SPDX-License-Identifier: MIT */
/* How long does a first restore take, apart from the wire?
 *
 *   apply_bench TREE DEST
 *
 * captures TREE as a workspace into memory, then applies it onto an empty
 * node below DEST; both are timed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "tests/unit/apply/world.h"

static struct world w;
static int64_t last_ms;
static char last_step[32];

static void on_step(void *arg, const char *step, uint64_t files_done,
                    uint64_t files_total, uint64_t bytes_done,
                    uint64_t bytes_total, const char *current)
{
    int64_t now = clock_monotonic_ms();

    (void)arg;
    (void)files_total;
    (void)bytes_total;
    (void)current;
    if (strcmp(step, last_step) == 0)
        return;
    printf("%8lld ms  %-8s before %s (%llu files, %llu bytes)\n",
           (long long)(now - last_ms), last_step, step,
           (unsigned long long)files_done, (unsigned long long)bytes_done);
    snprintf(last_step, sizeof(last_step), "%s", step);
    last_ms = now;
}

int main(int argc, char **argv)
{
    struct apply_options o;
    struct apply_result r;
    struct error e = {0};
    struct rusage usage;
    struct id agreed;
    int64_t t;
    char *text;
    int rc;

    if (argc < 3) {
        fprintf(stderr, "usage: apply_bench TREE DEST\n");
        return 2;
    }
    world_init(&w);
    text =
        mem_printf("{agents:{list:[{id:\"main\",workspace:\"%s\"}]}}", argv[1]);
    put_file(w.state, "openclaw.json", text, 0600);
    t = clock_monotonic_ms();
    world_backup(&w);
    printf("capture: %lld ms\n", (long long)(clock_monotonic_ms() - t));
    /* the same node, elsewhere and empty */
    snprintf(w.home, sizeof(w.home), "%s", argv[2]);
    snprintf(w.state, sizeof(w.state), "%s/.openclaw", argv[2]);
    dir_make(w.home, 0755, NULL);
    o = world_options(&w);
    o.intention = INTENT_CLONE;
    o.on_step = on_step;
    fake.kind = GATEWAY_ABSENT;
    {
        struct adapt_rule rule = {argv[1], mem_printf("%s/ws", argv[2])};

        o.rules = &rule;
        o.rule_count = 1;
        last_ms = t = clock_monotonic_ms();
        agreed = world_agree(&w, &o);
        printf("plan: %lld ms\n", (long long)(clock_monotonic_ms() - t));
        last_ms = t = clock_monotonic_ms();
        rc = apply_run(&o, &agreed, &r, &e);
        printf("apply: %lld ms, %s %s\n", (long long)(clock_monotonic_ms() - t),
               r.state, e.text);
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("peak %ld MiB with the whole snapshot in memory\n",
           usage.ru_maxrss / 1024);
    return rc < 0;
}
