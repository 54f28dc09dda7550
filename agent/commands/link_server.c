#include "agent/commands/link_server.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/text.h"

enum { HOST_BYTES = 256 };

#define REMEDY "give an address that is reachable from the source cluster with --api-server-address https://HOST:PORT"

/* Copies the host of a URL, without the brackets of an IPv6 address. @return false when there is none. */
static bool copy_host(const char *url, char host[HOST_BYTES])
{
    const char *scheme_end = strstr(url, "://"), *at = scheme_end != NULL ? scheme_end + 3 : NULL;
    if (at == NULL || scheme_end == url)
        return false;
    const char *user_end = strchr(at, '@'), *path = at + strcspn(at, "/?#");
    if (user_end != NULL && user_end < path)
        at = user_end + 1;
    bool bracket = at[0] == '[';
    at += bracket ? 1 : 0;
    size_t length = strcspn(at, bracket ? "]" : ":/?#");
    if (length == 0 || length >= HOST_BYTES || (bracket && at[length] != ']'))
        return false;
    memcpy(host, at, length);
    host[length] = '\0';
    if (host[length - 1] == '.' && length > 1) /* a name that ends with its root */
        host[length - 1] = '\0';
    return true;
}

/* Names that lead to the machine of whoever asks: RFC 6761, and those that desktop installations put into its hosts file. */
static bool is_own_name(const char *host)
{
    static const char *const names[] = {"localhost",           "localhost.localdomain",      "ip6-localhost",
                                        "ip6-loopback",        "kubernetes.docker.internal", "host.docker.internal",
                                        "lima-rancher-desktop"};
    static const char suffix[] = ".localhost";
    size_t length = strlen(host);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcasecmp(host, names[i]) == 0)
            return true;
    return length >= sizeof(suffix) && strcasecmp(host + length - (sizeof(suffix) - 1), suffix) == 0;
}

static bool is_own_address(const char *host)
{
    char canonical[TEXT_IP_BYTES];
    enum ip_family family = text_parse_ip(host, canonical);
    return family != IP_NONE && !text_ip_may_be_endpoint(family, canonical);
}

static bool is_own(const char *host) { return is_own_name(host) || is_own_address(host); }

enum err_code link_server_check(const char *url, const char *what, struct err *reterr)
{
    char host[HOST_BYTES];
    if ((!text_starts_with(url, "https://") && !text_starts_with(url, "http://")) || !copy_host(url, host))
        return err_set(reterr, ERR_INVALID, "%s \"%.200s\" is no address of an API server: write https://HOST:PORT",
                       what, url);
    if (is_own(host))
        return err_set(reterr, ERR_INVALID,
                       "%s %.200s is reachable from this machine alone (as kind, k3d, minikube and tunnels set it up), "
                       "and the agent runs in another cluster: " REMEDY,
                       what, url);
    return ERR_OK;
}

enum err_code link_server_check_proxy(const char *url, struct err *reterr)
{
    char host[HOST_BYTES];
    if (copy_host(url, host) && !is_own(host))
        return ERR_OK;
    return err_set(reterr, ERR_INVALID,
                   "proxy-url %.200s of the kubeconfig serves this machine alone, and the agent runs in another "
                   "cluster: " REMEDY,
                   url);
}
