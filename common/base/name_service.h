/* SPDX-License-Identifier: MIT */
/* Which name services (hosts, users, groups) glibc asks. */
#ifndef COMMON_BASE_NAME_SERVICE_H
#define COMMON_BASE_NAME_SERVICE_H

/* Call once at start, before the first thread. In the static program hosts
 * come from /etc/hosts and DNS, users and groups from /etc/passwd and
 * /etc/group, whatever nsswitch.conf says: its further services (sss, systemd,
 * mdns) are shared objects for the host's own C library, which may be another
 * version or none at all. In a dynamic program nothing changes. */
void name_service_init(void);

#endif
