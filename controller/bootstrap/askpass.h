/* SPDX-License-Identifier: MIT */
/* How a secret gets from us to ssh: ssh starts $SSH_ASKPASS, which is this
 * very program. All descriptors above 2 are closed by ssh, so the channel to
 * us is the helper's standard error: the end of a SOCK_SEQPACKET pair that
 * ssh itself, and a jump host's ssh below it, have there, too. One packet is
 * one message; what begins with a NUL is the helper's, the rest are words of
 * ssh for a person.
 *
 *   helper -> us   "\0ask\0" hint "\0" prompt
 *   us -> helper   "\0y" answer | "\0n"
 *
 * The secret stands in no argv, environment or file. */
#ifndef CONTROLLER_BOOTSTRAP_ASKPASS_H
#define CONTROLLER_BOOTSTRAP_ASKPASS_H

#include <stdbool.h>
#include <stddef.h>

#define ASKPASS_ENV "OCM_ASKPASS" /* set: this process is the helper */
#define ASKPASS_PACKET_MAX 16384

/* For main, before anything else: the exit code of the helper, or -1 when
 * this process is none. */
int askpass_main(int argc, char *const *argv);

/* Our side. Is the packet a request? Then where its parts are; both are
 * NUL-ended if packet[len] is. */
bool askpass_parse(const char *packet, size_t len, const char **hint,
                   const char **text);
/* Answer on `fd`; NULL: nobody answers. */
void askpass_reply(int fd, const char *answer);

#endif
