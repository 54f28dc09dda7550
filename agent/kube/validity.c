#include "agent/kube/validity.h"

#include <jansson.h>
#include <string.h>

#include "agent/kube/base64.h"
#include "base/arena.h"

enum { TOKEN_BYTES = 1 << 20 };

static const int64_t second_us = 1000000, hour_us = 3600 * INT64_C(1000000), day_us = 24 * 3600 * INT64_C(1000000);

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

/* RFC 7519: NumericDate may have a fraction. */
static int64_t date_us(const json_t *claims, const char *name)
{
    const double year_10000_s = 253402300800.0;
    double date_s = json_number_value(json_object_get(claims, name));
    return date_s > 0 && date_s < year_10000_s ? (int64_t)date_s * second_us : 0;
}

struct validity validity_of_token(const char *token)
{
    struct validity validity = {0};
    const char *start = strchr(token, '.'), *end = start != NULL ? strchr(start + 1, '.') : NULL, *text = NULL;
    size_t bytes = 0;
    struct arena arena;
    if (end == NULL)
        return validity;
    arena_init(&arena, TOKEN_BYTES);
    const char *payload = arena_printf(&arena, "%.*s", (int)(end - start - 1), start + 1);
    if (payload != NULL && base64_decode(&arena, payload, &text, &bytes, NULL) == ERR_OK) {
        json_t *claims = json_loadb(text, bytes, 0, NULL);
        int64_t issued_us = date_us(claims, "iat");
        validity.from_us = issued_us != 0 ? issued_us : date_us(claims, "nbf");
        validity.until_us = date_us(claims, "exp");
        json_decref(claims);
    }
    arena_done(&arena);
    return validity;
}
