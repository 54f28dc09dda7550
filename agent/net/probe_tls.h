/* Is it TLS that listens on a probe port? Envoy, like most, closes a TLS connection that begins with cleartext without a word,
 * so a handshake beside the probes has to tell. It only gives the next failure its name: no verdict waits for it.
 * Internal to agent/net. */
#pragma once

#include "agent/net/curl_loop.h"

struct probe_tls {
    struct curl_transfer transfer; /* easy NULL: no check under way */
    bool checked;                  /* since probe_tls_forget() */
    bool seen;                     /* TLS was spoken */
    char error[CURL_ERROR_SIZE];
};

/** Starts a check unless there was one; failing to start is no error. `setup` may set further options on the handle. */
void probe_tls_check(struct probe_tls *tls, struct curl_loop *curl, const char *url,
                     bool (*setup)(CURL *easy, void *context), void *context);
/** Cleartext was answered: whatever was found out is over. */
void probe_tls_forget(struct probe_tls *tls);
void probe_tls_cancel(struct probe_tls *tls);
