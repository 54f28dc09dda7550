#include "mirror/selection.h"

#include <string.h>

/* In order, each once. @return how many. */
static uint32_t unite_values(const char **ret_values, const struct selector_requirement *a,
                             const struct selector_requirement *b)
{
    uint32_t count = 0, i = 0, j = 0;
    while (i < a->value_count || j < b->value_count) {
        int order = i == a->value_count ? 1 : j == b->value_count ? -1 : strcmp(a->values[i], b->values[j]);
        ret_values[count++] = order <= 0 ? a->values[i] : b->values[j];
        i += order <= 0;
        j += order >= 0;
    }
    return count;
}

static const struct selector_requirement *find_in(const struct selector *selector, const char *key)
{
    for (uint32_t i = 0; i < selector->count; i++)
        if (selector->requirements[i].op == SELECTOR_IN && strcmp(selector->requirements[i].key, key) == 0)
            return &selector->requirements[i];
    return NULL;
}

/* One that holds wherever `a` or `b` does: of each label whose values both name, either's. An empty selector selects nothing.
 * @param[out] ret_cover  empty when they have no such label in common. */
static enum err_code cover(struct arena *arena, const struct selector *a, const struct selector *b,
                           struct selector *ret_cover)
{
    if (selector_is_empty(a) || selector_is_empty(b) || selector_equal(a, b)) {
        *ret_cover = selector_is_empty(a) ? *b : *a;
        return ERR_OK;
    }
    struct selector_requirement *both = arena_array(arena, a->count, sizeof(*both));
    *ret_cover = (struct selector){both, 0};
    if (both == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct selector_requirement *one = &a->requirements[i], *other = find_in(b, one->key);
        if (one->op != SELECTOR_IN || other == NULL)
            continue;
        const char **values = arena_array(arena, one->value_count + other->value_count, sizeof(*values));
        if (values == NULL)
            return ERR_NOMEM;
        both[ret_cover->count++] =
            (struct selector_requirement){one->key, SELECTOR_IN, values, unite_values(values, one, other)};
    }
    return ERR_OK;
}

enum err_code selection_of(struct arena *arena, const struct link *link, struct selection *ret_selection)
{
    struct selector services, all;
    bool selects = !selector_is_empty(&link->selector) || !selector_is_empty(&link->discovery_selector);
    *ret_selection = (struct selection){NULL, NULL};
    TRY(cover(arena, &link->selector, &link->discovery_selector, &services));
    if (selects && selector_is_empty(&services))
        return ERR_OK;
    TRY(cover(arena, &services, &link->federated_selector, &all));
    bool apart = !selector_is_empty(&link->federated_selector) && selector_is_empty(&all);
    ret_selection->services = selector_format(arena, apart ? &services : &all);
    ret_selection->members = apart ? selector_format(arena, &link->federated_selector) : NULL;
    return arena_failed(arena) ? ERR_NOMEM : ERR_OK;
}
