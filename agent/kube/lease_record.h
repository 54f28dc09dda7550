/* A Lease of coordination.k8s.io as leader election uses it. Plain data, so that pure code can decide about it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

enum { LEASE_IDENTITY_BYTES = 256, LEASE_VERSION_BYTES = 24 };

struct lease_record {
    bool exists;
    char version
        [LEASE_VERSION_BYTES]; /* metadata.resourceVersion; of a Lease that is gone, its last one when that is known */
    char holder[LEASE_IDENTITY_BYTES]; /* "": nobody */
    uint32_t duration_s;               /* 0: not said */
    uint32_t transitions;              /* changes of holder */
    /* Of the holder's clock: shown to people, never compared with ours. "" when absent. */
    char acquired[TEXT_TIME_BYTES], renewed[TEXT_TIME_BYTES];
};
