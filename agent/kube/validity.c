#include "agent/kube/validity.h"

static const int64_t hour_us = 3600 * INT64_C(1000000), day_us = 24 * 3600 * INT64_C(1000000);

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

enum validity_stage validity_stage(const struct validity *validity, int64_t now_us)
{
    int64_t left_us = validity->until_us - now_us, life_us = validity->until_us - validity->from_us;
    if (validity->until_us == 0)
        return VALIDITY_GOOD;
    if (left_us <= 0)
        return VALIDITY_ENDED;
    if (validity->from_us == 0 || life_us <= 0)
        return left_us <= hour_us ? VALIDITY_ENDS : VALIDITY_GOOD;
    if (left_us <= least(day_us, life_us / 40))
        return VALIDITY_ENDS_SOON;
    return left_us <= least(7 * day_us, life_us / 10) ? VALIDITY_ENDS : VALIDITY_GOOD;
}
