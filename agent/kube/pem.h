/* What stands in PEM texts: certificates and keys are judged here before a connection needs them, so that a broken one is told by the
 * field that holds it and not as a failed handshake. */
#pragma once

#include "agent/kube/validity.h"
#include "base/err.h"

/** Of the first certificate: a client certificate, before those that vouch for it. @return ERR_OK, ERR_TLS (no certificate in it). */
enum err_code pem_validity(const char *certificate, struct validity *ret_validity, struct err *reterr) MUST_USE;
/** Reads a bundle of one or more certificates; `ret_validity` is that of the first to expire. @return ERR_OK, ERR_TLS. */
enum err_code pem_check_bundle(const char *certificates, struct validity *ret_validity, struct err *reterr) MUST_USE;
enum { PEM_FINGERPRINT_BYTES = 65 };
struct pem_certificate {
    char fingerprint[PEM_FINGERPRINT_BYTES]; /* SHA-256 of the whole, in hexadecimal digits */
    struct validity validity;
};
typedef void (*pem_certificate_fn)(void *context, const struct pem_certificate *certificate);
/** Calls back for each certificate of a bundle. @return ERR_OK, ERR_TLS (no certificate in it, or a broken one: those before it were told). */
enum err_code pem_each(const char *certificates, pem_certificate_fn fn, void *context, struct err *reterr) MUST_USE;
/** Whether the key can be read without a password and belongs to the first certificate. @return ERR_OK, ERR_TLS. */
enum err_code pem_check_key(const char *certificate, const char *key, struct err *reterr) MUST_USE;
