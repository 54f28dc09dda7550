/* What stands in PEM texts: certificates and keys are judged here before a connection needs them, so that a broken one is told by the
 * field that holds it and not as a failed handshake. */
#pragma once

#include <stdint.h>

#include "base/err.h"

/** The end of validity of the first certificate, microseconds since 1970. @return ERR_OK, ERR_TLS (no certificate in it). */
enum err_code pem_expires_us(const char *certificate, int64_t *ret_us, struct err *reterr) MUST_USE;
/** Whether the text is a bundle of one or more certificates. @return ERR_OK, ERR_TLS. */
enum err_code pem_check_bundle(const char *certificates, struct err *reterr) MUST_USE;
/** Whether the key can be read without a password and belongs to the first certificate. @return ERR_OK, ERR_TLS. */
enum err_code pem_check_key(const char *certificate, const char *key, struct err *reterr) MUST_USE;
