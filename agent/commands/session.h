/* What a command line tool needs of the network, one request after the other: the agent's own loop, HTTP and client, waited
 * for. Not for the agent, where nothing waits. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

struct session;

enum err_code session_new(struct session **ret_session, struct err *reterr) MUST_USE;
void session_free(struct session *session); /* takes NULL */

/** From now on no request takes longer than until then; session_now_ms() is the clock. 0: each has 10 s. */
void session_set_deadline(struct session *session, uint64_t at_ms);
uint64_t session_now_ms(const struct session *session);
void session_sleep(struct session *session, uint64_t ms);

/** Gets JSON from an agent's admin server. @param address  "http://host:port", or just "host:port"; borrowed.
 *  @param[out] ret_value  new reference. @return any code; the text names the URL and what to look at. */
enum err_code session_ask_agent(struct session *session, const char *address, const char *path, json_t **ret_value,
                                struct err *reterr) MUST_USE;

/** Says which cluster the functions below ask: as `kubectl` chooses, from the kubeconfig, in a pod from its service account.
 *  @param kubeconfig, context  NULL: the default ones. @return ERR_OK, or why the credentials cannot be used. */
enum err_code session_use_cluster(struct session *session, const char *kubeconfig, const char *context,
                                  struct err *reterr) MUST_USE;
/** Gets one object. @param resource  plural, for texts. @param[out] ret_object  new reference. */
enum err_code session_get(struct session *session, const char *resource, const char *path, json_t **ret_object,
                          struct err *reterr) MUST_USE;
/** Lists a collection page by page. @param path  without query. @param selector  a label selector already encoded for a URL, or
 *  NULL. @param fn  called with each item, borrowed; a code other than ERR_OK ends the listing with it. */
typedef enum err_code (*session_item_fn)(void *context, const json_t *item);
enum err_code session_each(struct session *session, const char *resource, const char *path, const char *selector,
                           session_item_fn fn, void *context, struct err *reterr) MUST_USE;
