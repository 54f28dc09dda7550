/* What the person at the terminal can do about a request that failed. The agent itself has words of its own: its log and its status are read
 * elsewhere. */
#pragma once

#include "base/err.h"

/** Appends it to the text of `reterr` (may be NULL), where anything is known for its code.
 *  @param context  of the kubeconfig; "in-cluster" for a pod's own credentials. */
void remedy_add(struct err *reterr, const char *context);
