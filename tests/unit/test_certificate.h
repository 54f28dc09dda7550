/* A self-signed certificate and its key, made on the spot: nothing secret and nothing that expires lies in the tree. */
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct test_certificate {
    char certificate[2048], key[1024];
};

static inline void test_certificate_text(BIO *bio, char *buffer, size_t bytes)
{
    char *data = NULL;
    long length = BIO_get_mem_data(bio, &data);
    if (length <= 0 || (size_t)length >= bytes)
        abort();
    memcpy(buffer, data, (size_t)length);
    buffer[length] = '\0';
    BIO_free(bio);
}

/** @param expires_s  notAfter, seconds since 1970. */
static inline struct test_certificate test_certificate_make(int64_t expires_s)
{
    struct test_certificate made;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    BIO *certificate_text = BIO_new(BIO_s_mem()), *key_text = BIO_new(BIO_s_mem());
    if (key == NULL || certificate == NULL || certificate_text == NULL || key_text == NULL)
        abort();
    X509_NAME *name = X509_get_subject_name(certificate);
    (void)X509_set_version(certificate, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    (void)ASN1_TIME_set(X509_getm_notBefore(certificate), 1600000000);
    (void)ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)expires_s);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    (void)X509_set_issuer_name(certificate, name);
    (void)X509_set_pubkey(certificate, key);
    if (X509_sign(certificate, key, EVP_sha256()) == 0 || PEM_write_bio_X509(certificate_text, certificate) != 1 ||
        PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) != 1)
        abort();
    test_certificate_text(certificate_text, made.certificate, sizeof(made.certificate));
    test_certificate_text(key_text, made.key, sizeof(made.key));
    X509_free(certificate);
    EVP_PKEY_free(key);
    return made;
}
