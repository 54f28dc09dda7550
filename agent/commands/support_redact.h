/* What leaves a cluster in a support bundle: nothing that anybody could prove himself with. Two lines of defence: objects lose the fields that hold
 * credentials, and every text loses what looks like some, and what Secrets were seen to hold. Pure. */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strbuf.h"

struct support_redaction;

/** @return new, NULL when out of memory. */
struct support_redaction *support_redaction_new(void);
void support_redaction_free(struct support_redaction *redaction); /* takes NULL */

/** Remembers what a Secret holds, so that it is found wherever it stands. @return ERR_OK, ERR_NOMEM. */
enum err_code support_redaction_learn(struct support_redaction *redaction, const json_t *secret) MUST_USE;
/** A copy of an object without credentials, and without what only says who wrote which field. Of a Secret it tells which keys it has, how long
 *  they are, and of a kubeconfig to which servers it leads and by what kind of credentials.
 *  @return new, NULL when out of memory. */
json_t *support_redaction_object(const json_t *object) MUST_USE;
/** Appends the text without what looks like a token or a private key, and without what was learned. */
void support_redaction_text(const struct support_redaction *redaction, const char *text, size_t bytes,
                            struct strbuf *to);

/** What is left out, for the reader of a bundle; constant. */
extern const char support_redaction_words[];
