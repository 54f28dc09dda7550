/* Which version of the Link resource a cluster serves. */
#pragma once

#include "agent/commands/cluster.h"
#include "agent/commands/resource.h"
#include "base/err.h"

/** The newest version that both know. @return ERR_OK, ERR_NOT_FOUND (the cluster serves no Links), ERR_UNSUPPORTED (none that is known here), what
 *  the API gave. */
enum err_code link_version_find(struct cluster *cluster, struct resource *ret_resource, struct err *reterr) MUST_USE;
