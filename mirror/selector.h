/* Kubernetes label selectors (metav1.LabelSelector). An empty or absent selector selects nothing here, as Linkerd's Link has it
 * (linkerd2#11309: selecting everything was a fault). Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/kv.h"

enum selector_operator { SELECTOR_IN, SELECTOR_NOT_IN, SELECTOR_EXISTS, SELECTOR_DOES_NOT_EXIST };

struct selector_requirement {
    const char *key;
    enum selector_operator op;
    const char *const *values; /* sorted; at least one for In and NotIn, none otherwise */
    uint32_t value_count;
};

/** All requirements must hold; matchLabels entries are In with one value. No requirement: nothing is selected. */
struct selector {
    const struct selector_requirement *requirements;
    uint32_t count;
};

bool selector_is_empty(const struct selector *selector);
bool selector_matches(const struct selector *selector, const struct kv_list *labels);
bool selector_equal(const struct selector *a, const struct selector *b);
/** The query form of `labelSelector=`: "a=b,c in (d,e),!f" (not URL-encoded). "" for the empty selector. NULL: arena failed. */
const char *selector_format(struct arena *arena, const struct selector *selector);
/** Reads the form of a command line, as kubectl's --selector: "a=b,c!=d,e in (f,g),h notin (i),j,!k". "" selects nothing.
 *  @return ERR_OK, ERR_INVALID (which part), ERR_NOMEM. */
enum err_code selector_parse(struct arena *arena, const char *text, struct selector *ret_selector, struct err *reterr)
    MUST_USE;
/** Checks operator and values. @return ERR_OK or ERR_INVALID naming key and cause. */
enum err_code selector_check(const struct selector *selector, struct err *reterr) MUST_USE;
/** Copies into the arena. */
struct selector selector_copy(struct arena *arena, const struct selector *selector);
