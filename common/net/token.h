/* SPDX-License-Identifier: MIT */
/* Join tokens: "ocm1.<ca fingerprint, 64 hex>.<secret, 32 of [a-z2-7]>". The
 * fingerprint lets the node prove the controller before it says anything. */
#ifndef COMMON_NET_TOKEN_H
#define COMMON_NET_TOKEN_H

#include <stdbool.h>

#include "common/data/digest.h"

#define TOKEN_SECRET_LEN 32
#define TOKEN_TEXT_MAX 128

struct token {
    struct id ca;
    char secret[TOKEN_SECRET_LEN + 1];
};

void token_make(struct token *t, const struct id *ca); /* fresh secret */
void token_format(const struct token *t, char out[TOKEN_TEXT_MAX]);
bool token_parse(const char *s, struct token *out);

#endif
