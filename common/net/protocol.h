/* SPDX-License-Identifier: MIT */
/* The versions of the protocol that this source speaks: PROTOCOL.md. */
#ifndef COMMON_NET_PROTOCOL_H
#define COMMON_NET_PROTOCOL_H

#define PROTOCOL_MIN 1
#define PROTOCOL_MAX 1

#endif
