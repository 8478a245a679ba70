/* SPDX-License-Identifier: MIT */
/* Name services that need no shared object, in the static program. */
#include "common/base/name_service.h"

#ifdef OCM_STATIC

#include <nss.h>

void name_service_init(void)
{
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("passwd", "files");
    __nss_configure_lookup("group", "files");
    __nss_configure_lookup("services", "files");
}

#else

void name_service_init(void)
{
}

#endif
