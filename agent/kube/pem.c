#include "agent/kube/pem.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "agent/net/pem_read.h"

static X509 *first_certificate(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = pem_read_certificate(bio);
    BIO_free(bio);
    return certificate;
}

/* Connections of this thread look at the same queue: what stays in it would be taken for theirs. */
static enum err_code finish(enum err_code code)
{
    ERR_clear_error();
    return code;
}

static int64_t time_us(const ASN1_TIME *time)
{
    struct tm parts;
    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) * 1000000 : 0;
}

static struct validity validity_of(const X509 *certificate)
{
    return (struct validity){.from_us = time_us(X509_get0_notBefore(certificate)),
                             .until_us = time_us(X509_get0_notAfter(certificate))};
}

enum err_code pem_validity(const char *certificate, struct validity *ret_validity, struct err *reterr)
{
    X509 *parsed = first_certificate(certificate);
    if (parsed == NULL)
        return finish(err_set(reterr, ERR_TLS, "not a PEM certificate"));
    *ret_validity = validity_of(parsed);
    X509_free(parsed);
    return finish(ERR_OK);
}

static void identify(const X509 *certificate, struct pem_certificate *ret_identity)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    *ret_identity = (struct pem_certificate){.validity = validity_of(certificate)};
    if (X509_digest(certificate, EVP_sha256(), digest, &length) != 1)
        return;
    for (unsigned i = 0; i < length && 2 * i + 2 < PEM_FINGERPRINT_BYTES; i++)
        (void)snprintf(ret_identity->fingerprint + 2 * i, 3, "%02x", digest[i]);
}

enum err_code pem_each(const char *certificates, pem_certificate_fn fn, void *context, struct err *reterr)
{
    BIO *bio = BIO_new_mem_buf(certificates, -1);
    unsigned count = 0;
    for (X509 *parsed; (parsed = pem_read_certificate(bio)) != NULL; count++) {
        struct pem_certificate identity;
        identify(parsed, &identity);
        X509_free(parsed);
        fn(context, &identity);
    }
    BIO_free(bio);
    bool at_end = pem_read_ended();
    if (count == 0)
        return finish(err_set(reterr, ERR_TLS, "not a PEM certificate"));
    if (!at_end)
        return finish(err_set(reterr, ERR_TLS, "certificate %u of it is broken", count + 1));
    return finish(ERR_OK);
}

static void take_first_to_expire(void *context, const struct pem_certificate *certificate)
{
    struct pem_certificate *first = context;
    if (first->fingerprint[0] == '\0' || certificate->validity.until_us < first->validity.until_us)
        *first = *certificate;
}

enum err_code pem_check_bundle(const char *certificates, struct validity *ret_validity, struct err *reterr)
{
    struct pem_certificate first = {0};
    TRY(pem_each(certificates, take_first_to_expire, &first, reterr));
    *ret_validity = first.validity;
    return ERR_OK;
}

enum err_code pem_check_key(const char *certificate, const char *key, struct err *reterr)
{
    EVP_PKEY *parsed = pem_read_key(key);
    X509 *owner = first_certificate(certificate);
    enum err_code code = ERR_OK;
    if (parsed == NULL)
        code = err_set(reterr, ERR_TLS, "not a PEM private key that can be read without a password");
    else if (owner == NULL || X509_check_private_key(owner, parsed) != 1)
        code = err_set(reterr, ERR_TLS, "it does not belong to the certificate");
    X509_free(owner);
    EVP_PKEY_free(parsed);
    return finish(code);
}
