#include "agent/net/pem_read.h"

#include <stddef.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

int pem_read_no_password(char *buffer, int bytes, int writing, void *context)
{
    if (bytes > 0)
        buffer[0] = '\0';
    (void)writing;
    (void)context;
    return -1;
}

X509 *pem_read_certificate(BIO *bio)
{
    return bio != NULL ? PEM_read_bio_X509(bio, NULL, pem_read_no_password, NULL) : NULL;
}

bool pem_read_ended(void)
{
    unsigned long last = ERR_peek_last_error();
    return ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
}

EVP_PKEY *pem_read_key(const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, pem_read_no_password, NULL) : NULL;
    BIO_free(bio);
    return key;
}
