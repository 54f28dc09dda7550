/* OpenSSL's readers of PEM texts, which leave the terminal alone: by themselves they ask it for a password. What they leave in OpenSSL's queue of
 * errors is the caller's to clear: connections of this thread look at the same queue. */
#pragma once

#include <stdbool.h>

#include <openssl/types.h>

/** The next certificate of a text. @return new, or NULL: there is none, or it cannot be read. */
X509 *pem_read_certificate(BIO *bio);
/** After pem_read_certificate() gave NULL: whether that was the regular end of the text, and not something that cannot be read. */
bool pem_read_ended(void);
/** The key of a text. @return new, or NULL: there is none that can be read without a password. */
EVP_PKEY *pem_read_key(const char *text);
/** For readers of other things: nobody knows the password. */
int pem_read_no_password(char *buffer, int bytes, int writing, void *context);
