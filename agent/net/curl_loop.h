/* One curl multi handle on our loop: sockets, its one timer, and finished transfers. Internal to agent/net. */
#pragma once

#include <curl/curl.h>

#include "agent/loop/loop.h"
#include "base/err.h"

struct curl_loop;
struct curl_transfer;

/* Runs when a transfer has finished; the easy handle is already out of the multi. May remove other transfers, start new ones, and free the
 * curl_transfer. Never from inside a curl callback or curl_loop_add(). `result` is curl's; when memory is short curl loses track of its
 * sockets, and all transfers of the multi end with CURLE_OUT_OF_MEMORY. */
typedef void (*curl_done_fn)(struct curl_transfer *transfer, CURLcode result);

/** Embedded in its owner; `easy` is borrowed. CURLOPT_PRIVATE is taken. */
struct curl_transfer {
    CURL *easy;
    curl_done_fn on_done;
    /* Runs after curl_loop_notify(), outside curl's callbacks and before on_done. May do all that on_done may. May be NULL. */
    void (*on_ready)(struct curl_transfer *transfer);
    /* private */
    struct curl_loop *owner;
    struct curl_transfer *next, *next_ready, *next_active, *previous_active;
    bool finished, ready;
    CURLcode result;
};

/** Once per process before anything else of curl; memory through base/mem.
 *  @return ERR_OK, ERR_NOMEM, ERR_UNSUPPORTED (this libcurl's TLS is not OpenSSL's, of which tls_identity.h hands it structures). */
enum err_code curl_loop_global_init(struct err *reterr) MUST_USE;

struct curl_loop *curl_loop_new(struct loop *loop);
/** All transfers must have been removed. Closes idle connections. May be called from on_done and on_ready. Takes NULL. */
void curl_loop_free(struct curl_loop *curl);
/** As above; calls `after` once everything is closed, which may be later: close callbacks of connections run until then. */
void curl_loop_free_then(struct curl_loop *curl, void (*after)(void *context), void *context);
CURLM *curl_loop_multi(struct curl_loop *curl);
/** @return ERR_OK or ERR_NOMEM. */
enum err_code curl_loop_add(struct curl_loop *curl, struct curl_transfer *transfer) MUST_USE;
/** To be called from curl's callbacks of the transfer, where nothing else of this may be: asks for on_ready. */
void curl_loop_notify(struct curl_transfer *transfer);
/** Takes the transfer out without its callback; idempotent. Must not be called from inside a curl callback (write, header, ...) of any
 *  transfer of this multi: let that callback return its error code instead. */
void curl_loop_remove(struct curl_transfer *transfer);
/** Closes the connections that nobody has used for two seconds, a little later: each keeps some 60 KiB. For when there is little to do. Without memory
 *  they stay, and also within a second of another transfer's start, by which curl has looked. */
void curl_loop_close_idle(struct curl_loop *curl);
/** Goes on reading after CURLOPT_WRITEFUNCTION returned CURL_WRITEFUNC_PAUSE; that function is called from inside for what curl kept. Not
 *  from inside curl's callbacks. Runs no other callback; what fails ends the transfer, or all of them, a little later. */
void curl_loop_resume(struct curl_transfer *transfer);
