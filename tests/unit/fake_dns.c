#include "fake_dns.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28, HEADER_BYTES = 12, MESSAGE_BYTES = 4096 };
enum { RCODE_OK = 0, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3 };

struct message {
    uint8_t bytes[MESSAGE_BYTES];
    size_t length;
};

static void put(struct message *message, const void *bytes, size_t count)
{
    if (message->length + count > sizeof(message->bytes))
        return;
    memcpy(message->bytes + message->length, bytes, count);
    message->length += count;
}

static void put_u16(struct message *message, unsigned value)
{
    put(message, (const uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void put_u32(struct message *message, uint32_t value)
{
    put_u16(message, value >> 16);
    put_u16(message, value & 0xffff);
}

static void put_name(struct message *message, const char *name)
{
    while (*name != '\0') {
        size_t length = strcspn(name, ".");
        put(message, &(uint8_t){(uint8_t)length}, 1);
        put(message, name, length);
        name += length + (name[length] == '.');
    }
    put(message, "", 1);
}

/* @return bytes that the name takes in the message, 0 when it is not whole. */
static size_t read_name(const uint8_t *bytes, size_t count, char *name, size_t name_bytes)
{
    size_t at = 0, written = 0;
    while (at < count && bytes[at] != 0) {
        size_t length = bytes[at];
        if (length > 63 || at + 1 + length >= count || written + length + 2 > name_bytes)
            return 0;
        if (written > 0)
            name[written++] = '.';
        memcpy(name + written, bytes + at + 1, length);
        written += length;
        at += 1 + length;
    }
    name[written] = '\0';
    return at < count ? at + 1 : 0;
}

static const struct fake_dns_record *find(const struct fake_dns *dns, const char *name)
{
    for (size_t i = 0; i < FAKE_DNS_RECORDS && dns->records[i].name != NULL; i++)
        if (strcasecmp(dns->records[i].name, name) == 0)
            return &dns->records[i];
    return NULL;
}

static unsigned put_address(struct message *message, const struct fake_dns_record *record, const char *owner,
                            unsigned type, const void *address)
{
    put_name(message, owner);
    put_u16(message, type);
    put_u16(message, 1);
    put_u32(message, record->ttl_s);
    put_u16(message, type == TYPE_A ? 4 : 16);
    put(message, address, type == TYPE_A ? 4 : 16);
    return 1;
}

static unsigned put_addresses(struct message *message, const struct fake_dns_record *record, unsigned type)
{
    const char *owner = record->alias != NULL ? record->alias : record->name;
    unsigned count = 0;
    for (unsigned i = 0; type == TYPE_A && i < record->generate; i++)
        count += put_address(message, record, owner, type, (const uint8_t[]){10, 1, (uint8_t)(i >> 8), (uint8_t)i});
    for (const char *at = record->addresses != NULL ? record->addresses : ""; *at != '\0';) {
        size_t length = strcspn(at, ",");
        char text[64];
        uint8_t address[16];
        (void)snprintf(text, sizeof(text), "%.*s", (int)length, at);
        if (inet_pton(type == TYPE_A ? AF_INET : AF_INET6, text, address) == 1)
            count += put_address(message, record, owner, type, address);
        at += length + (at[length] == ',');
    }
    return count;
}

static unsigned put_alias(struct message *message, const struct fake_dns_record *record)
{
    if (record->alias == NULL)
        return 0;
    struct message target = {.length = 0};
    put_name(&target, record->alias);
    put_name(message, record->name);
    put_u16(message, TYPE_CNAME);
    put_u16(message, 1);
    put_u32(message, record->alias_ttl_s);
    put_u16(message, (unsigned)target.length);
    put(message, target.bytes, target.length);
    return 1;
}

/* @return whether there is an answer to send. */
static bool answer(struct fake_dns *dns, const uint8_t *question, size_t bytes, bool tcp, struct message *reply)
{
    char name[256];
    size_t name_bytes =
        bytes > HEADER_BYTES ? read_name(question + HEADER_BYTES, bytes - HEADER_BYTES, name, sizeof(name)) : 0;
    if (name_bytes == 0 || HEADER_BYTES + name_bytes + 4 > bytes)
        return false;
    unsigned type = (unsigned)question[HEADER_BYTES + name_bytes] << 8 | question[HEADER_BYTES + name_bytes + 1];
    dns->questions++;
    dns->a_questions += type == TYPE_A;
    dns->aaaa_questions += type == TYPE_AAAA;
    dns->tcp_questions += tcp;
    const struct fake_dns_record *record = find(dns, name);
    enum fake_dns_outcome outcome = record == NULL ? FAKE_DNS_NXDOMAIN : type == TYPE_A ? record->a : record->aaaa;
    if (dns->silent || outcome == FAKE_DNS_SILENT)
        return false;
    bool truncated = outcome == FAKE_DNS_TRUNCATED && !tcp;
    reply->length = 0;
    put(reply, question, 2);
    put_u16(reply, 0x8180u | (truncated ? 0x0200u : 0) |
                       (outcome == FAKE_DNS_NXDOMAIN   ? RCODE_NXDOMAIN
                        : outcome == FAKE_DNS_SERVFAIL ? RCODE_SERVFAIL
                                                       : RCODE_OK));
    put_u16(reply, 1);
    put(reply, "\0\0\0\0\0\0", 6);
    put(reply, question + HEADER_BYTES, name_bytes + 4);
    if (truncated || (outcome != FAKE_DNS_ANSWERS && outcome != FAKE_DNS_TRUNCATED))
        return true;
    unsigned count = put_alias(reply, record);
    count += put_addresses(reply, record, type);
    reply->bytes[6] = (uint8_t)(count >> 8);
    reply->bytes[7] = (uint8_t)count;
    return true;
}

static void on_udp(void *context, int fd, unsigned events)
{
    (void)events;
    struct fake_dns *dns = context;
    struct sockaddr_in from = {0};
    socklen_t length = sizeof(from);
    uint8_t question[600];
    struct message reply;
    ssize_t got = recvfrom(fd, question, sizeof(question), MSG_DONTWAIT, (struct sockaddr *)&from, &length);
    if (got > 0 && answer(dns, question, (size_t)got, false, &reply))
        (void)sendto(fd, reply.bytes, reply.length, 0, (const struct sockaddr *)&from, length);
}

static void end_client(struct fake_dns_client *client)
{
    loop_io_stop(client->io);
    if (client->fd >= 0)
        (void)close(client->fd);
    client->fd = -1;
}

/* One question a connection at a time: enough for a client that waits for its answer. */
static void on_client(void *context, int fd, unsigned events)
{
    (void)events;
    struct fake_dns_client *client = context;
    struct message reply;
    ssize_t got = recv(fd, client->message + client->bytes, sizeof(client->message) - client->bytes, MSG_DONTWAIT);
    if (got <= 0) {
        end_client(client);
        return;
    }
    client->bytes += (size_t)got;
    size_t wanted = client->bytes >= 2 ? 2 + ((size_t)client->message[0] << 8 | client->message[1]) : 2;
    if (client->bytes < wanted || wanted <= 2)
        return;
    client->bytes = 0;
    if (!answer(client->dns, client->message + 2, wanted - 2, true, &reply))
        return;
    const uint8_t prefix[] = {(uint8_t)(reply.length >> 8), (uint8_t)reply.length};
    (void)send(fd, prefix, 2, MSG_NOSIGNAL | MSG_MORE);
    (void)send(fd, reply.bytes, reply.length, MSG_NOSIGNAL);
}

static void on_accept(void *context, int fd, unsigned events)
{
    (void)events;
    struct fake_dns *dns = context;
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    for (size_t i = 0; accepted >= 0 && i < FAKE_DNS_CLIENTS; i++) {
        struct fake_dns_client *client = &dns->clients[i];
        if (client->fd >= 0)
            continue;
        client->fd = accepted;
        client->bytes = 0;
        loop_io_start(client->io, accepted, LOOP_READ);
        return;
    }
    if (accepted >= 0)
        (void)close(accepted);
}

static int open_socket(const char *ip, uint16_t port, int type)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (inet_pton(AF_INET, ip, &address.sin_addr) == 1 &&
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
        (type != SOCK_STREAM || listen(fd, 4) == 0))
        return fd;
    (void)close(fd);
    return -1;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in address = {0};
    socklen_t length = sizeof(address);
    (void)getsockname(fd, (struct sockaddr *)&address, &length);
    return ntohs(address.sin_port);
}

bool fake_dns_init(struct fake_dns *dns, struct loop *loop, const char *ip, uint16_t port)
{
    *dns = (struct fake_dns){.loop = loop, .udp_fd = -1};
    (void)snprintf(dns->ip, sizeof(dns->ip), "%s", ip);
    for (size_t i = 0; i < FAKE_DNS_CLIENTS; i++) {
        dns->clients[i] = (struct fake_dns_client){.dns = dns, .fd = -1};
        dns->clients[i].io = loop_io_new(loop, on_client, &dns->clients[i]);
    }
    dns->udp = loop_io_new(loop, on_udp, dns);
    dns->tcp = loop_io_new(loop, on_accept, dns);
    dns->tcp_fd = open_socket(ip, port, SOCK_STREAM);
    if (dns->tcp_fd >= 0) {
        dns->port = port_of(dns->tcp_fd);
        dns->udp_fd = open_socket(ip, dns->port, SOCK_DGRAM);
    }
    if (dns->udp_fd < 0) {
        fake_dns_done(dns);
        return false;
    }
    (void)snprintf(dns->server, sizeof(dns->server), "%s:%u", ip, dns->port);
    loop_io_start(dns->udp, dns->udp_fd, LOOP_READ);
    loop_io_start(dns->tcp, dns->tcp_fd, LOOP_READ);
    return true;
}

void fake_dns_done(struct fake_dns *dns)
{
    for (size_t i = 0; i < FAKE_DNS_CLIENTS; i++) {
        end_client(&dns->clients[i]);
        loop_io_free(dns->clients[i].io);
    }
    loop_io_free(dns->udp);
    loop_io_free(dns->tcp);
    if (dns->udp_fd >= 0)
        (void)close(dns->udp_fd);
    if (dns->tcp_fd >= 0)
        (void)close(dns->tcp_fd);
}
