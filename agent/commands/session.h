/* What a command line tool needs of the network, one request after the other: the agent's own loop, HTTP and client, waited
 * for. Not for the agent, where nothing waits. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/client.h"
#include "agent/kube/kubeconfig.h"
#include "agent/net/probe.h"
#include "base/err.h"
#include "base/text.h"

struct session;

enum err_code session_new(struct session **ret_session, struct err *reterr) MUST_USE;
void session_free(struct session *session); /* takes NULL */

/** From now on no request takes longer than until then; session_now_ms() is the clock. 0: each has 10 s. */
void session_set_deadline(struct session *session, uint64_t at_ms);
uint64_t session_now_ms(const struct session *session);
int64_t session_wall_us(const struct session *session); /* since 1970: to judge what clusters say of times */
void session_sleep(struct session *session, uint64_t ms);
/** SIGINT or SIGTERM came: whatever waited ended with ERR_CANCELLED, and so does everything asked from now on, so that a command tells what it
 *  has done and ends. */
bool session_interrupted(const struct session *session);

/** Gets JSON from an agent's admin server. @param address  "http://host:port", or just "host:port"; borrowed.
 *  @param[out] ret_value  new reference. @return any code; the text names the URL and what to look at. */
enum err_code session_ask_agent(struct session *session, const char *address, const char *path, json_t **ret_value,
                                struct err *reterr) MUST_USE;

/** Gets a text by its URL, trusting whom the system trusts, without credentials. Up to 10 redirects are followed, as kubectl does, but none
 *  from https to http, nor to anything else. @param[out] ret_text  new (mem_free()). */
enum err_code session_fetch(struct session *session, const char *url, char **ret_text, struct err *reterr) MUST_USE;

/** Whether session_fetch() goes on from one URL to the other. @return ERR_OK, or ERR_PROTOCOL with the reason. */
enum err_code session_judge_redirect(const char *url, const char *to, struct err *reterr) MUST_USE;

/** A client of one cluster, whose requests are sent with session_request(). @param[out] ret_client  new; free before the session. */
enum err_code session_connect(struct session *session, const struct kubeconfig *config, const char *label,
                              struct kube_client **ret_client, struct err *reterr) MUST_USE;
/** Sends one request and waits for its answer. @param request  verb, resource, path and body are set.
 *  @param[out] ret_object  new reference; NULL when the answer is empty. @return any code. */
enum err_code session_request(struct session *session, struct kube_client *client, struct kube_request *request,
                              json_t **ret_object, struct err *reterr) MUST_USE;

/** Sends one request whose answer is no JSON (`is_text` is set), and waits for it.
 *  @param[out] ret_text  new (mem_free()), ended by a NUL behind its bytes. @return any code. */
enum err_code session_request_text(struct session *session, struct kube_client *client, struct kube_request *request,
                                   char **ret_text, size_t *ret_bytes, struct err *reterr) MUST_USE;

/** One of several reads that are under way at the same time. */
struct session_read {
    /* -- set before session_read_all(); zero-initialise first; borrowed -- */
    struct kube_client *client;
    const char *resource, *path; /* as of a kube_request; a collection is read page by page, into one list */
    const char *body;            /* NULL: a GET; else it is posted, e.g. a review of rights */
    uint32_t timeout_ms;         /* of each page */
    /* -- result -- */
    json_t *value;    /* new reference; NULL when it could not be read */
    struct err error; /* why not */
    int64_t date_s;   /* what the server's clock said; 0: unknown */
    int64_t came_s;   /* what ours said then */
    /* -- private -- */
    struct session *session;
    struct kube_request request;
};
/** Reads all of them at once: the slowest one decides how long it takes. What fails fails for itself.
 *  @return ERR_OK, ERR_CANCELLED when interrupted: what had not come yet has that error too. */
enum err_code session_read_all(struct session *session, struct session_read *reads, size_t count, struct err *reterr)
    MUST_USE;

/** Looks a host up; of several addresses the first. @return ERR_OK, ERR_RESOLVE, ERR_TIMEOUT, ERR_NOMEM, ERR_CANCELLED. */
enum err_code session_resolve(struct session *session, const char *host, char ret_ip[TEXT_IP_BYTES], struct err *reterr)
    MUST_USE;
/** Probes a gateway's address once. @param[out] ret_seen  what came of it. @return ERR_OK also when it failed; ERR_INVALID, ERR_NOMEM,
 *  ERR_CANCELLED. */
enum err_code session_probe(struct session *session, const struct probe_link_config *config,
                            struct probe_observation *ret_seen, struct err *reterr) MUST_USE;
