#include "agent/control/identity.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

enum { TEXT_BYTES = 200, HOST_BYTES = 100, BOOT_DIGITS = 16, CHANCE_DIGITS = 16 };

struct identity {
    char text[TEXT_BYTES], name[TEXT_BYTES];
    char place[64]; /* "<boot>-<namespace>-"; "" when there is no proof */
    int socket;     /* bound; -1: none */
};

/* 16 hexadecimal digits of the kernel's boot id: two machines do not have the same. */
static bool read_boot(char digits[BOOT_DIGITS + 1])
{
    char text[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
    if (fd >= 0)
        (void)close(fd);
    unsigned count = 0;
    for (ssize_t i = 0; i < bytes && count < BOOT_DIGITS; i++)
        if (isxdigit((unsigned char)text[i]))
            digits[count++] = text[i];
    digits[count] = '\0';
    return count == BOOT_DIGITS;
}

static socklen_t make_address(struct sockaddr_un *address, const char *tail)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    /* A leading NUL: no file, but a name in the network namespace. */
    int length = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "svcmirror/%s", tail);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

static int bind_name(const char *tail)
{
    struct sockaddr_un address;
    socklen_t bytes = make_address(&address, tail);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, bytes) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void write_name(struct identity *identity, const char *host, const char *chance)
{
    (void)snprintf(identity->name, sizeof(identity->name), "%.*s-%s", HOST_BYTES, host, chance);
    for (char *at = identity->name; *at != '\0'; at++)
        *at = isalnum((unsigned char)*at) ? (char)tolower((unsigned char)*at) : '-';
}

struct identity *identity_new(const char *host)
{
    struct identity *identity = NEW(struct identity);
    char boot[BOOT_DIGITS + 1], chance[CHANCE_DIGITS + 1], tail[sizeof(identity->place) + sizeof(chance)];
    struct stat namespace;
    if (identity == NULL)
        return NULL;
    (void)snprintf(chance, sizeof(chance), "%08x%08x", arc4random(), arc4random());
    identity->socket = -1;
    if (read_boot(boot) && stat("/proc/self/ns/net", &namespace) == 0) {
        (void)snprintf(identity->place, sizeof(identity->place), "%s-%llu-", boot,
                       (unsigned long long)namespace.st_ino);
        (void)snprintf(tail, sizeof(tail), "%s%s", identity->place, chance);
        identity->socket = bind_name(tail);
    }
    if (identity->socket < 0)
        identity->place[0] = '\0';
    (void)snprintf(identity->text, sizeof(identity->text), "%.*s_%s%s", HOST_BYTES, host, identity->place, chance);
    write_name(identity, host, chance);
    return identity;
}

void identity_free(struct identity *identity)
{
    if (identity == NULL)
        return;
    if (identity->socket >= 0)
        (void)close(identity->socket);
    mem_free(identity);
}

const char *identity_text(const struct identity *identity) { return identity->text; }

const char *identity_name(const struct identity *identity) { return identity->name; }

static bool is_bound(const char *tail)
{
    struct sockaddr_un address;
    socklen_t bytes = make_address(&address, tail);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true; /* nothing is proven */
    bool refused = connect(fd, (const struct sockaddr *)&address, bytes) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return !refused;
}

bool identity_is_gone(const struct identity *identity, const char *other)
{
    const char *tail = strrchr(other, '_');
    size_t place = strlen(identity->place);
    if (place == 0 || tail == NULL || strncmp(tail + 1, identity->place, place) != 0)
        return false;
    const char *chance = tail + 1 + place;
    return strlen(chance) == CHANCE_DIGITS && strspn(chance, "0123456789abcdef") == CHANCE_DIGITS &&
           !is_bound(tail + 1);
}
