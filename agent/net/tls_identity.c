#include "agent/net/tls_identity.h"

#include <stddef.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "agent/net/pem_read.h"
#include "base/mem.h"

struct tls_identity {
    X509_STORE *roots; /* NULL: libcurl's */
    X509 *certificate; /* NULL: none is shown */
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};

static bool add_roots(X509_STORE *store, STACK_OF(X509_INFO) * found)
{
    int added = 0;
    for (int i = 0; i < sk_X509_INFO_num(found); i++) {
        X509 *certificate = sk_X509_INFO_value(found, i)->x509;
        if (certificate == NULL) /* a key or a list of what was revoked */
            continue;
        if (X509_STORE_add_cert(store, certificate) != 1)
            return false;
        added++;
    }
    return added > 0;
}

/* As libcurl judges, so Go does: what is in the bundle is trusted, be it a root or signed by one. */
static X509_STORE *read_roots(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509_INFO) *found = bio != NULL ? PEM_X509_INFO_read_bio(bio, NULL, pem_read_no_password, NULL) : NULL;
    bool ok = found != NULL && store != NULL && add_roots(store, found) &&
              X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN) == 1;
    sk_X509_INFO_pop_free(found, X509_INFO_free);
    BIO_free(bio);
    if (ok)
        return store;
    X509_STORE_free(store);
    return NULL;
}

static bool read_certificates(struct tls_identity *identity, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    identity->certificate = pem_read_certificate(bio);
    identity->chain = sk_X509_new_null();
    bool ok = identity->certificate != NULL && identity->chain != NULL;
    for (X509 *next; ok && (next = pem_read_certificate(bio)) != NULL;) {
        ok = sk_X509_push(identity->chain, next) > 0;
        if (!ok)
            X509_free(next);
    }
    BIO_free(bio);
    return ok && pem_read_ended();
}

static bool read_key(struct tls_identity *identity, const char *pem)
{
    identity->key = pem_read_key(pem);
    return identity->key != NULL && X509_check_private_key(identity->certificate, identity->key) == 1;
}

static bool read_all(struct tls_identity *identity, const char *ca_pem, const char *cert_pem, const char *key_pem)
{
    if (ca_pem != NULL) {
        identity->roots = read_roots(ca_pem);
        if (identity->roots == NULL)
            return false;
    }
    if (cert_pem == NULL)
        return key_pem == NULL;
    return key_pem != NULL && read_certificates(identity, cert_pem) && read_key(identity, key_pem);
}

/* Without a chain of its own OpenSSL completes it from the roots. */
static bool apply(const struct tls_identity *identity, SSL_CTX *ssl)
{
    if (identity->roots != NULL)
        SSL_CTX_set1_cert_store(ssl, identity->roots);
    return identity->certificate == NULL ||
           (SSL_CTX_use_certificate(ssl, identity->certificate) == 1 &&
            (sk_X509_num(identity->chain) == 0 || SSL_CTX_set1_chain(ssl, identity->chain) == 1) &&
            SSL_CTX_use_PrivateKey(ssl, identity->key) == 1);
}

/* Whether OpenSSL takes it for a connection: keys may be too short for its security level. */
static bool is_usable(const struct tls_identity *identity)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_client_method());
    bool ok = ssl != NULL && apply(identity, ssl);
    SSL_CTX_free(ssl);
    return ok;
}

struct tls_identity *tls_identity_new(const char *ca_pem, const char *cert_pem, const char *key_pem)
{
    struct tls_identity *identity = ca_pem != NULL || cert_pem != NULL ? NEW(struct tls_identity) : NULL;
    if (identity == NULL)
        return NULL;
    bool ok = read_all(identity, ca_pem, cert_pem, key_pem) && is_usable(identity);
    /* Connections of this thread look at the same queue: what stays in it would be taken for theirs. */
    ERR_clear_error();
    if (ok)
        return identity;
    tls_identity_free(identity);
    return NULL;
}

void tls_identity_free(struct tls_identity *identity)
{
    if (identity == NULL)
        return;
    X509_STORE_free(identity->roots);
    X509_free(identity->certificate);
    sk_X509_pop_free(identity->chain, X509_free);
    EVP_PKEY_free(identity->key);
    mem_free(identity);
}

/* Called by curl for each new connection, on what it has set up and not yet used. */
static CURLcode on_context(CURL *easy, void *ssl_context, void *context)
{
    (void)easy;
    return apply(context, ssl_context) ? CURLE_OK
                                       : CURLE_OUT_OF_MEMORY; /* what OpenSSL objects to was seen when it was read */
}

bool tls_identity_use(struct tls_identity *identity, CURL *easy)
{
    /* Else curl would read its own roots, only for them to be replaced. */
    bool ok = identity->roots == NULL || (curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
                                          curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK);
    return ok && curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, identity) == CURLE_OK;
}
