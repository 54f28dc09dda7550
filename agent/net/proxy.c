#include "agent/net/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

/* "example.com" covers itself and everything below it, ".example.com" only what is below. */
static bool domain_covers(const char *domain, const char *host)
{
    const char *suffix = domain[0] == '*' && domain[1] == '.' ? domain + 1 : domain;
    size_t host_length = strlen(host), suffix_length = strlen(suffix);
    if (suffix[0] == '.')
        return host_length > suffix_length && strcasecmp(host + host_length - suffix_length, suffix) == 0;
    if (strcasecmp(host, suffix) == 0)
        return true;
    return host_length > suffix_length && host[host_length - suffix_length - 1] == '.' &&
           strcasecmp(host + host_length - suffix_length, suffix) == 0;
}

/* Cuts ":port" off "host:port" and "[v6]:port", and the brackets. @return false when it is another port. */
static bool cut_port(char **entry, uint16_t port)
{
    char *colon = strrchr(*entry, ':');
    size_t length = strlen(*entry);
    if (colon != NULL && (*entry)[length - 1] != ']') {
        char number[8];
        (void)snprintf(number, sizeof(number), "%u", port);
        if (strcmp(colon + 1, number) != 0)
            return false;
        *colon = '\0';
        length = strlen(*entry);
    }
    if (length > 2 && (*entry)[0] == '[' && (*entry)[length - 1] == ']') {
        (*entry)[length - 1] = '\0';
        (*entry)++;
    }
    return true;
}

static bool entry_covers(char *entry, const char *host, uint16_t port)
{
    char canonical[TEXT_IP_BYTES], host_canonical[TEXT_IP_BYTES];
    if (strcmp(entry, "*") == 0)
        return true;
    if (strchr(entry, '/') != NULL)
        return text_cidr_covers(entry, host);
    /* An IPv6 address alone is full of colons that lead no port. */
    if (text_parse_ip(entry, canonical) == IP_NONE && !cut_port(&entry, port))
        return false;
    if (text_parse_ip(entry, canonical) != IP_NONE)
        return text_parse_ip(host, host_canonical) != IP_NONE && strcmp(canonical, host_canonical) == 0;
    return domain_covers(entry, host);
}

static bool is_loopback(const char *host)
{
    char canonical[TEXT_IP_BYTES];
    enum ip_family family = text_parse_ip(host, canonical);
    return strcasecmp(host, "localhost") == 0 || (family == IP_V4 && text_starts_with(canonical, "127.")) ||
           (family == IP_V6 && strcmp(canonical, "::1") == 0);
}

bool proxy_is_excepted(const char *list, const char *host, uint16_t port)
{
    if (is_loopback(host))
        return true;
    for (const char *at = list; *at != '\0';) {
        char entry[256];
        size_t skip = strspn(at, ", \t"), length = strcspn(at + skip, ", \t");
        if (length > 0 && length < sizeof(entry)) {
            memcpy(entry, at + skip, length);
            entry[length] = '\0';
            if (entry_covers(entry, host, port))
                return true;
        }
        at += skip + length;
    }
    return false;
}

static const char *environment(const char *upper, const char *lower)
{
    const char *value = getenv(upper);
    if (value == NULL || value[0] == '\0')
        value = getenv(lower);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

const char *proxy_from_environment(bool https, const char *host, uint16_t port)
{
    const char *proxy = https ? environment("HTTPS_PROXY", "https_proxy") : environment("HTTP_PROXY", "http_proxy");
    const char *except = environment("NO_PROXY", "no_proxy");
    if (proxy == NULL || proxy_is_excepted(except != NULL ? except : "", host, port))
        return NULL;
    return proxy;
}
