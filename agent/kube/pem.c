#include "agent/kube/pem.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <time.h>

/* Never asks the terminal for a password. */
static int no_password(char *buffer, int bytes, int writing, void *context)
{
    if (bytes > 0)
        buffer[0] = '\0';
    (void)writing;
    (void)context;
    return -1;
}

/* @return new, or NULL. */
static X509 *read_certificate(BIO *bio) { return bio != NULL ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL; }

static X509 *first_certificate(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = read_certificate(bio);
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

enum err_code pem_check_bundle(const char *certificates, struct validity *ret_validity, struct err *reterr)
{
    BIO *bio = BIO_new_mem_buf(certificates, -1);
    unsigned count = 0;
    struct validity first = {0};
    for (X509 *parsed; (parsed = read_certificate(bio)) != NULL; count++) {
        struct validity validity = validity_of(parsed);
        if (count == 0 || validity.until_us < first.until_us)
            first = validity;
        X509_free(parsed);
    }
    BIO_free(bio);
    /* Nothing more to begin is the regular end; anything else is a certificate that cannot be read. */
    unsigned long last = ERR_peek_last_error();
    bool at_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (count == 0)
        return finish(err_set(reterr, ERR_TLS, "not a PEM certificate"));
    if (!at_end)
        return finish(err_set(reterr, ERR_TLS, "certificate %u of it is broken", count + 1));
    *ret_validity = first;
    return finish(ERR_OK);
}

enum err_code pem_check_key(const char *certificate, const char *key, struct err *reterr)
{
    BIO *bio = BIO_new_mem_buf(key, -1);
    EVP_PKEY *parsed = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
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
