/* SPDX-License-Identifier: MIT */
/* What comes from the table of commands agrees with it: help, man page,
 * completion; usage errors; the progress line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "controller/cli/cli_internal.h"
#include "controller/cli/progress.h"

static const char *no_env(const char *name)
{
    (void)name;
    return NULL;
}

struct run {
    char *out, *err;
    size_t out_len, err_len;
    int code;
};

static struct run run(const char *line)
{
    struct run r = {0};
    struct cli_io io = {.env = no_env, .width = 80};
    char *copy = mem_strdup(line), *save = NULL, *argv[32] = {(char *)"ocmctl"};
    int argc = 1;

    for (char *w = strtok_r(copy, " ", &save); w;
         w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    io.out = open_memstream(&r.out, &r.out_len);
    io.err = open_memstream(&r.err, &r.err_len);
    r.code = cli_run(argc, argv, &io);
    fclose(io.out);
    fclose(io.err);
    free(copy);
    return r;
}

static void run_free(struct run *r)
{
    free(r->out);
    free(r->err);
}

static void expect(const char *line, int code, const char *out, const char *err)
{
    struct run r = run(line);

    if (r.code != code || (out && !strstr(r.out, out)) ||
        (err && !strstr(r.err, err)))
        fail_msg("'%s': %d, not %d\nout: %s\nerr: %s", line, r.code, code,
                 r.out, r.err);
    run_free(&r);
}

static void every_command_has_help(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count; i++) {
        const struct command *cmd = &command_table[i];
        char *line = mem_printf("%s --help", cmd->name);
        struct run r = run(line);
        const char *examples = strstr(r.out, "Examples:");
        const char *usage = strstr(r.out, "Usage:");

        assert_int_equal(r.code, 0);
        assert_non_null(examples);
        assert_non_null(usage);
        assert_true(examples < usage); /* examples first */
        assert_non_null(strstr(cmd->examples, cmd->name));
        for (size_t k = 0; k < COMMAND_MAX_OPTIONS && cmd->options[k].name; k++)
            assert_non_null(strstr(r.out, cmd->options[k].help));
        assert_string_equal(r.err, "");
        run_free(&r);
        free(line);
    }
}

static void the_whole_help_names_all(void **state)
{
    struct run r = run("--help");

    (void)state;
    assert_int_equal(r.code, 0);
    for (size_t i = 0; i < command_count; i++)
        assert_non_null(strstr(r.out, command_table[i].summary));
#define X(name, code, text) assert_non_null(strstr(r.out, text));
    CLI_EXITS(X)
#undef X
    run_free(&r);
    expect("-h", 0, "Commands:", NULL);
    expect("node --help", 0, "Commands:", NULL);
    expect("", CLI_EXIT_USAGE, "", "Commands:");
}

static void wrong_lines_get_a_hint(void **state)
{
    (void)state;
    expect("bakcup", 2, NULL, "did you mean 'backup'?");
    expect("migarte a b", 2, NULL, "did you mean 'migrate'?");
    expect("node lsit", 2, NULL, "did you mean 'node list'?");
    expect("node", 2, NULL, "wants a verb");
    expect("xyzzyqqqq", 2, NULL, "no command 'xyzzyqqqq'\n");
    expect("backup --al", 2, NULL, "did you mean '--all'?");
    expect("backup --jsn --all", 2, NULL, "did you mean '--json'?");
    expect("--sokcet x status", 2, NULL, "did you mean '--socket'?");
    expect("backup -z", 2, NULL, "unknown option '-z'");
    expect("backup --all=yes", 2, NULL, "takes no value");
    expect("backup --only", 2, NULL, "wants a value: SECTION");
    expect("restore n --snapshot a --snapshot b", 2, NULL, "stands twice");
    expect("show", 2, NULL, "something is missing: SNAPSHOT");
    expect("show a b", 2, NULL, "'b' is too much");
    expect("backup", 2, NULL, "name the nodes, or give --all");
    expect("backup web --all", 2, NULL, "name the nodes, or give --all");
    expect("import x", 2, NULL, "--node");
    expect("migrate a b", 2, NULL, "say --clone or --move");
    expect("migrate a b --clone --move", 2, NULL, "say it once");
    expect("migrate a b --intention copy", 2, NULL, "not 'copy'");
    expect("migrate a b --clone --rule x", 2, NULL, "FROM=TO");
    expect("migrate a b --apply p --rule x=y", 2, NULL, "no further choices");
    expect("node remove a", 2, NULL, "nobody to ask");
    expect("node token --ttl 1000", 2, NULL, "from 10 to 900");
    expect("list --limit x", 2, NULL, "--limit");
    expect("completion csh", 2, NULL, "no completion for 'csh'");
}

static void no_controller_is_told(void **state)
{
    (void)state;
    expect("--socket /nonexistent/x status", CLI_EXIT_OFFLINE, "",
           "no controller answers on /nonexistent/x");
    expect("status --socket=/nonexistent/x --json", CLI_EXIT_OFFLINE,
           "\"code\": \"offline\"", NULL);
}

/* In roff a '-' is written "\-". */
static char *plain(const char *roff)
{
    char *out = mem_alloc(strlen(roff) + 1), *to = out;

    for (; *roff; roff++) {
        if (*roff != '\\' || roff[1] != '-')
            *to++ = *roff;
    }
    *to = '\0';
    return out;
}

static void the_man_page_names_all(void **state)
{
    struct run r = run("man");
    char *text = plain(r.out);

    (void)state;
    for (size_t i = 0; i < command_count; i++) {
        const struct command *cmd = &command_table[i];
        char *head = mem_printf(".SS \"ocmctl %s", cmd->name);

        assert_non_null(strstr(text, head));
        for (size_t k = 0; k < COMMAND_MAX_OPTIONS && cmd->options[k].name;
             k++) {
            char *option = mem_printf("--%s\\fR", cmd->options[k].name);

            assert_non_null(strstr(text, option));
            free(option);
        }
        free(head);
    }
#define X(name, code, text_) assert_non_null(strstr(text, text_));
    CLI_EXITS(X)
#undef X
    free(text);
    run_free(&r);
}

static void check_with(const char *program, const char *text)
{
    FILE *p = popen(program, "w");

    assert_non_null(p);
    fputs(text, p);
    assert_int_equal(pclose(p), 0);
}

static void completion_names_all(void **state)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};

    (void)state;
    for (size_t s = 0; s < ARRAY_LEN(shells); s++) {
        char *line = mem_printf("completion %s", shells[s]);
        struct run r = run(line);
        const char *dash = strcmp(shells[s], "fish") == 0 ? "-l " : "--";

        assert_int_equal(r.code, 0);
        for (size_t i = 0; i < command_count; i++) {
            const struct command *cmd = &command_table[i];
            const char *word = strchr(cmd->name, ' ');

            assert_non_null(strstr(r.out, word ? word + 1 : cmd->name));
            for (size_t k = 0; k < COMMAND_MAX_OPTIONS && cmd->options[k].name;
                 k++) {
                char *option = mem_printf("%s%s", dash, cmd->options[k].name);

                assert_non_null(strstr(r.out, option));
                free(option);
            }
        }
        if (strcmp(shells[s], "bash") == 0)
            check_with("bash -n", r.out);
        run_free(&r);
        free(line);
    }
}

/* The script at work: what is offered for a line. */
static void bash_offers_what_fits(void **state)
{
    static const struct {
        const char *words, *want;
    } cases[] = {
        {"ocmctl mig", "migrate"},
        {"ocmctl node re", "remove\nrename"},
        {"ocmctl diff --st", "--stat"},
        {"ocmctl migrate a b --intention c", "clone"},
        {"ocmctl backup --only cr", "credentials\ncron"},
        {"ocmctl completion z", "zsh"},
    };
    struct run r = run("completion bash");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf script = {0};
        char got[256] = "";
        char name[] = "/tmp/ocm-complete-XXXXXX", *command;
        int fd = mkstemp(name);
        FILE *file, *p;
        size_t n;

        buf_printf(&script,
                   "%s\nCOMP_WORDS=(%s)\nCOMP_CWORD=$((${#COMP_WORDS[@]}-1))\n"
                   "_ocmctl\nprintf '%%s\\n' \"${COMPREPLY[@]}\"\n",
                   r.out, cases[i].words);
        assert_true(fd >= 0);
        file = fdopen(fd, "w");
        fputs(buf_str(&script), file);
        fclose(file);
        command = mem_printf("bash %s", name);
        p = popen(command, "r");
        n = fread(got, 1, sizeof(got) - 1, p);
        pclose(p);
        unlink(name);
        while (n > 0 && got[n - 1] == '\n')
            got[--n] = '\0';
        assert_string_equal(got, cases[i].want);
        free(command);
        buf_free(&script);
    }
    run_free(&r);
}

/* ---- progress ---- */

static void check_progress(const struct progress *p, int width, bool bar,
                           bool utf8, int64_t now, const char *want)
{
    struct buf b = {0};

    progress_line(p, width, bar, utf8, now, &b);
    assert_string_equal(buf_str(&b), want);
    buf_free(&b);
}

static void progress_is_drawn(void **state)
{
    struct progress p = {.title = "web-1"};

    (void)state;
    progress_step(&p, "", 1000);
    check_progress(&p, 80, true, true, 4000, "web-1  3 s");
    progress_step(&p, "backup", 5000);
    progress_set(&p, 10, 0, 5 << 20, 0, "config/a", 6000);
    check_progress(&p, 80, true, true, 6000,
                   "web-1  backup  5.0 MiB  10 files  5.0 MiB/s  config/a");
    progress_set(&p, 20, 40, 10 << 20, 20 << 20, "x\x1b[2J\n", 7000);
    check_progress(&p, 200, true, false, 7000,
                   "web-1  backup  [##########----------]  50%  10.0 MiB of "
                   "20.0 MiB  20 files  5.0 MiB/s  0:02 left  "
                   "x\\x1b[2J\\x0a");
    check_progress(&p, 200, false, true, 7000,
                   "web-1  backup   50%  10.0 MiB of 20.0 MiB  20 files  "
                   "5.0 MiB/s  0:02 left  x\\x1b[2J\\x0a");
    progress_set(&p, 40, 40, 20 << 20, 20 << 20, "", 8000);
    check_progress(&p, 30, true, true, 8000,
                   "web-1  backup  "
                   "\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96"
                   "\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2"
                   "\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88"
                   "\xe2\x96\x88");
    /* figures that go back, and more done than there is, are no trouble */
    progress_set(&p, 1, 40, 1, 20 << 20, "", 9000);
    progress_set(&p, 50, 40, 30 << 20, 20 << 20, "", 9100);
    check_progress(&p, 24, false, false, 9100, "web-1  backup  100%  30.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_has_help),
        cmocka_unit_test(the_whole_help_names_all),
        cmocka_unit_test(wrong_lines_get_a_hint),
        cmocka_unit_test(no_controller_is_told),
        cmocka_unit_test(the_man_page_names_all),
        cmocka_unit_test(completion_names_all),
        cmocka_unit_test(bash_offers_what_fits),
        cmocka_unit_test(progress_is_drawn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
