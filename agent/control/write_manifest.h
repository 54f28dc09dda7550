/* The object of a write as a manifest that can be applied: as it would be afterwards, without what only the API server gives. */
#pragma once

#include "agent/kube/client.h" /* json_t */

#include "mirror/plan.h"

/** @param[out] ret_object  new reference; NULL for deletes. @return ERR_OK or ERR_NOMEM. */
enum err_code write_manifest(const struct write *write, json_t **ret_object) MUST_USE;
