/* links: agent_net agent_loop base */
/* agent/net/curl_loop.c with a libcurl whose TLS is not OpenSSL's: this program's functions go before the library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "agent/loop/loop.h"
#include "agent/net/http.h"

static CURLsslset found;
static const char *version = "OpenSSL/3.0.0";

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): curl's name is short */
CURLsslset curl_global_sslset(curl_sslbackend id, const char *name, const curl_ssl_backend ***ret_available)
{
    (void)name;
    (void)ret_available;
    assert_int_equal(id, CURLSSLBACKEND_OPENSSL);
    return found;
}

curl_version_info_data *curl_version_info(CURLversion age)
{
    static curl_version_info_data info;
    (void)age;
    info.ssl_version = version;
    return &info;
}

static void without_openssl_nothing_begins(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct err error = {0};
    found = CURLSSLSET_UNKNOWN_BACKEND;
    assert_null(http_new(loop, NULL, &error));
    assert_int_equal(error.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "built without OpenSSL (libcurl/"));
    found = CURLSSLSET_OK;
    version = "LibreSSL/3.8.2"; /* which libcurl takes for OpenSSL */
    assert_null(http_new(loop, NULL, &error));
    assert_int_equal(error.code, ERR_UNSUPPORTED);
    version = "(GnuTLS/3.7.9) OpenSSL/3.0.0"; /* of both the one in use */
    struct http *http = http_new(loop, NULL, &error);
    assert_non_null(http);
    http_free(http);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_openssl_nothing_begins)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
