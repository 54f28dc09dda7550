/* From when until when a certificate or a token is good, and whether that is worth a word: it is told ahead, in time to do something. Pure. */
#pragma once

#include <stdint.h>

/** Microseconds since 1970; 0: unknown, or there is no such thing. */
struct validity {
    int64_t from_us, until_us;
};

/** A tenth of its life is left, 7 days at most; a fortieth, 1 day at most; none. Kubelets renew tokens when a fifth is left and
 *  certificate managers certificates when a third is: what comes to the tenth was not renewed. */
enum validity_stage { VALIDITY_GOOD, VALIDITY_ENDS, VALIDITY_ENDS_SOON, VALIDITY_ENDED };

/** Of a life whose beginning is unknown only the last hour counts as its end. */
enum validity_stage validity_stage(const struct validity *validity, int64_t now_us);
