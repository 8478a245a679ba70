/* SPDX-License-Identifier: MIT */
/* What ssh and sudo ask a person, at the moment they ask it. Who answers (a
 * terminal, a descriptor, a web page) is none of this library's business. */
#ifndef CONTROLLER_BOOTSTRAP_PROMPT_H
#define CONTROLLER_BOOTSTRAP_PROMPT_H

#include <stdbool.h>
#include <stddef.h>

#define PROMPT_ANSWER_MAX 1024 /* with its NUL */

enum prompt_kind {
    PROMPT_PASSWORD,   /* of the login */
    PROMPT_PASSPHRASE, /* of a key */
    PROMPT_SUDO,       /* of the user, for root */
    PROMPT_OTHER,      /* a one-time code and the like */
    PROMPT_HOST_KEY,   /* "yes" trusts the key that `text` shows */
    PROMPT_NOTICE,     /* "touch your key": nothing to answer */
};

struct prompt {
    enum prompt_kind kind;
    const char *host; /* as it was given */
    const char *text; /* ssh's or sudo's own words; foreign, maybe several
                         lines: escape before showing */
    int attempt;      /* 1, 2 ...: more when the answer before was wrong */
    bool login_known; /* PROMPT_SUDO: an empty answer means "the password that
                         I logged in with" */
};

/* Put the answer into `answer` (PROMPT_ANSWER_MAX bytes of locked memory that
 * the caller wipes), NUL-ended; false: nobody answers, give up. Called from
 * the thread that works on the host; may take as long as a person takes. */
typedef bool prompt_fn(void *arg, const struct prompt *p, char *answer);

#endif
