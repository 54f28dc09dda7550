/* What is asked for of a list of records, in which order, and what is new in it since it was seen last. Pure. */
#pragma once

#include <jansson.h>

#include "base/err.h"

struct view_changes;

/** @param identity, news  keys, NULL at the end; borrowed: see view.h. @return new, or NULL. */
struct view_changes *view_changes_new(const char *const *identity, const char *const *news);
void view_changes_free(struct view_changes *changes); /* takes NULL */
/** Compares with the list before; the first time everything is new.
 *  @param[out] ret_changed  new array: the records that are new or changed, in their order.
 *  @param[out] ret_gone     new array: the records, as they were, that are no more. @return ERR_OK, ERR_NOMEM. */
enum err_code view_changes_take(struct view_changes *changes, const json_t *records, json_t **ret_changed,
                                json_t **ret_gone) MUST_USE;

/** By these keys, one after the other. @return as strcmp(). */
int view_compare(const json_t *a, const json_t *b, const char *const *identity);
