/* SPDX-License-Identifier: MIT */
/* ssh's surroundings without ssh: what may stand in its command line, the
 * helper's packets, its words as errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "controller/bootstrap/askpass.h"
#include "controller/bootstrap/ssh_words.h"

static int check(const char *host, const char *user, const char *jump)
{
    struct ssh_target t = {host, user, "", jump, 0};

    return ssh_target_check(&t, NULL);
}

static void command_lines_are_guarded(void **state)
{
    (void)state;
    assert_int_equal(check("web-1.example", "", ""), 0);
    assert_int_equal(check("2001:db8::1", "jo", "a@hop:2222,b"), 0);
    assert_int_equal(check("-oProxyCommand=x", "", ""), OCM_E_INVALID);
    assert_int_equal(check("a;b", "", ""), OCM_E_INVALID);
    assert_int_equal(check("a b", "", ""), OCM_E_INVALID);
    assert_int_equal(check("", "", ""), OCM_E_INVALID);
    assert_int_equal(check("a", "-l", ""), OCM_E_INVALID);
    assert_int_equal(check("a", "", "-oX=y"), OCM_E_INVALID);
    assert_int_equal(check("a", "", "b `c`"), OCM_E_INVALID);
}

static void words_are_quoted(void **state)
{
    struct buf b = {0};

    (void)state;
    ssh_quote(&b, "it's $HOME");
    assert_string_equal(buf_str(&b), "'it'\\''s $HOME'");
    buf_free(&b);
}

static void packets_are_told_from_words(void **state)
{
    static const char good[] = "\0ask\0confirm\0Trust it?";
    const char *hint, *text;

    (void)state;
    assert_true(askpass_parse(good, sizeof(good) - 1, &hint, &text));
    assert_string_equal(hint, "confirm");
    assert_string_equal(text, "Trust it?");
    assert_false(askpass_parse("Permission denied", 17, &hint, &text));
    assert_false(askpass_parse("\0ask\0no end", 11, &hint, &text));
    assert_false(askpass_parse("\0ask\0", 5, &hint, &text));
    assert_false(askpass_parse("", 0, &hint, &text));
}

/* The helper as ssh runs it: its stderr is the channel, its stdout ssh's. */
static void the_helper_asks_and_hands_over(void **state)
{
    char packet[256], got[64] = "";
    const char *hint, *text;
    int pair[2], out[2], status;
    ssize_t n;
    pid_t pid;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(pipe(out), 0);
    pid = fork();
    if (pid == 0) {
        char *argv[] = {(char *)"ocmctl", (char *)"jo@web's password: ", NULL};

        setenv(ASKPASS_ENV, "1", 1);
        dup2(pair[1], 2);
        dup2(out[1], 1);
        close(pair[0]);
        _exit(askpass_main(2, argv));
    }
    close(pair[1]);
    close(out[1]);
    n = recv(pair[0], packet, sizeof(packet) - 1, 0);
    assert_true(n > 0);
    packet[n] = '\0';
    assert_true(askpass_parse(packet, (size_t)n, &hint, &text));
    assert_string_equal(text, "jo@web's password: ");
    askpass_reply(pair[0], "open sesame");
    for (size_t len = 0; (n = read(out[0], got + len, 1)) == 1; len++)
        assert_true(len < sizeof(got) - 2);
    assert_string_equal(got, "open sesame\n");
    waitpid(pid, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 0);
    close(pair[0]);
    close(out[0]);
}

static void without_a_channel_there_is_no_helper(void **state)
{
    char *argv[] = {(char *)"ocmctl", (char *)"password: ", NULL};
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(askpass_main(2, argv), -1);
    pid = fork();
    if (pid == 0) {
        setenv(ASKPASS_ENV, "1", 1);
        _exit(askpass_main(2, argv)); /* stderr is no socket of ours */
    }
    waitpid(pid, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 1);
}

static void words_become_one_line(void **state)
{
    static const struct {
        const char *words;
        int code;
        const char *says;
    } cases[] = {
        {"jo@web: Permission denied (publickey).\r\n", OCM_E_AUTH,
         "Permission denied"},
        {"ssh: connect to host web port 22: Connection refused\r\n",
         OCM_E_OFFLINE, "refused"},
        {"ssh: Could not resolve hostname web: Name or service not known\r\n",
         OCM_E_OFFLINE, "resolve"},
        {"Host key verification failed.\r\n", OCM_E_AUTH, "--accept-new"},
        {"@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n"
         "The fingerprint for the ED25519 key sent by the remote host is\n"
         "SHA256:abcdef.\nHost key verification failed.\r\n",
         OCM_E_AUTH, "now SHA256:abcdef"},
        {"", OCM_E_OFFLINE, "without a word"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ssh s = {.hosts = (char *)"/nonexistent",
                        .key_name = (char *)"web"};
        struct error e = {0};

        buf_add_str(&s.text, cases[i].words);
        assert_int_equal(ssh_words_failure(&s, &e), cases[i].code);
        if (!strstr(e.text, cases[i].says))
            fail_msg("%s", e.text);
        buf_free(&s.text);
    }
}

static void fingerprints_are_those_of_ssh_keygen(void **state)
{
    char text[64];

    (void)state;
    assert_true(ssh_words_fingerprint("web ssh-ed25519 "
                                      "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6"
                                      "UOoqKLsabgH5C9okWi0dh2l9GKJl\n",
                                      text, sizeof(text)));
    assert_string_equal(text,
                        "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
    assert_false(ssh_words_fingerprint("web", text, sizeof(text)));
    assert_false(ssh_words_fingerprint("web ssh-x ***", text, sizeof(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_lines_are_guarded),
        cmocka_unit_test(words_are_quoted),
        cmocka_unit_test(packets_are_told_from_words),
        cmocka_unit_test(the_helper_asks_and_hands_over),
        cmocka_unit_test(without_a_channel_there_is_no_helper),
        cmocka_unit_test(words_become_one_line),
        cmocka_unit_test(fingerprints_are_those_of_ssh_keygen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
