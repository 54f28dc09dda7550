/* Whom the TLS connections of an origin trust and as whom they come, read once for all of them: libcurl would read the same PEM
 * texts anew for each connection. Internal to agent/net. */
#pragma once

#include <stdbool.h>

#include <curl/curl.h>

#include "base/err.h"

struct tls_identity;

/** Reads PEM texts; borrowed, NULL for none.
 *  @param ca_pem    trusted roots; NULL: libcurl's
 *  @param cert_pem  what is shown when a server asks, before those that vouch for it; with its key in key_pem
 *  @return new; NULL when there is no text at all, when one cannot be read, when the key is not the certificate's, or when memory
 *          is short: given the texts themselves libcurl says in its words what is wrong. */
struct tls_identity *tls_identity_new(const char *ca_pem, const char *cert_pem, const char *key_pem);
void tls_identity_free(struct tls_identity *identity); /* takes NULL; connections keep what they use of it */
/** The connections that the handle opens use it; not for https:// proxies, to which the same would be shown.
 *  It has to outlive the handle's transfer. @return false when out of memory. */
bool tls_identity_use(struct tls_identity *identity, CURL *easy) MUST_USE;
