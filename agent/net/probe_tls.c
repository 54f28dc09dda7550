#include "agent/net/probe_tls.h"

#include <string.h>

#include "agent/net/probe.h"

static void on_checked(struct curl_transfer *transfer, CURLcode result)
{
    struct probe_tls *tls = (struct probe_tls *)transfer; /* the first member */
    curl_off_t handshake_us = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_APPCONNECT_TIME_T, &handshake_us);
    /* A server that refuses a handshake, for want of a server name say, does so by a TLS alert. */
    bool alert = result == CURLE_SSL_CONNECT_ERROR && strstr(tls->error, "alert") != NULL;
    tls->seen = (result == CURLE_OK && handshake_us > 0) || alert;
    curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
}

/* Nothing is sent over it and nothing believed: certificates do not matter. */
static bool set_options(struct probe_tls *tls, CURL *easy, const char *url)
{
    return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, tls->error) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)PROBE_CONNECT_MS) == CURLE_OK;
}

void probe_tls_check(struct probe_tls *tls, struct curl_loop *curl, const char *url,
                     bool (*setup)(CURL *easy, void *context), void *context)
{
    if (tls->checked)
        return;
    CURL *easy = curl_easy_init();
    if (easy == NULL)
        return;
    tls->error[0] = '\0';
    tls->transfer = (struct curl_transfer){.easy = easy, .on_done = on_checked};
    if (set_options(tls, easy, url) && setup(easy, context) && curl_loop_add(curl, &tls->transfer) == ERR_OK) {
        tls->checked = true;
        return;
    }
    curl_easy_cleanup(easy);
    tls->transfer.easy = NULL;
}

void probe_tls_forget(struct probe_tls *tls)
{
    /* A check under way ends by itself and is not started again meanwhile. */
    if (tls->transfer.easy == NULL)
        tls->checked = false;
    tls->seen = false;
}

void probe_tls_cancel(struct probe_tls *tls)
{
    if (tls->transfer.easy == NULL)
        return;
    curl_loop_remove(&tls->transfer);
    curl_easy_cleanup(tls->transfer.easy);
    tls->transfer.easy = NULL;
}
