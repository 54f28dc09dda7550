/* A DNS server for tests, UDP and TCP on the test's own loop, that answers what its table says and counts what it is asked. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/loop/loop.h"

enum { FAKE_DNS_RECORDS = 16, FAKE_DNS_CLIENTS = 4 };

enum fake_dns_outcome {
    FAKE_DNS_ANSWERS,
    FAKE_DNS_NXDOMAIN,
    FAKE_DNS_SERVFAIL,
    FAKE_DNS_SILENT,
    FAKE_DNS_TRUNCATED, /* over UDP; the answer comes over TCP */
};

struct fake_dns_record {
    const char *name;      /* without the last dot; NULL ends the table */
    const char *addresses; /* comma-separated, both families; what has none answers without data */
    const char *alias;     /* the addresses belong to this name, and the asked one is a CNAME; NULL: none */
    uint32_t ttl_s, alias_ttl_s;
    enum fake_dns_outcome a, aaaa;
    unsigned generate; /* so many A records 10.1.x.y in place of `addresses` */
};

struct fake_dns_client {
    struct fake_dns *dns;
    int fd; /* -1: free */
    struct loop_io *io;
    uint8_t message[600];
    size_t bytes;
};

struct fake_dns {
    struct loop *loop;
    int udp_fd, tcp_fd;
    struct loop_io *udp, *tcp;
    struct fake_dns_client clients[FAKE_DNS_CLIENTS];
    char ip[46];
    uint16_t port;
    char server[64]; /* "ip:port", as dns_new() takes it */
    /* May be changed at any time. A name that is not in it: NXDOMAIN. */
    struct fake_dns_record records[FAKE_DNS_RECORDS];
    bool silent; /* to every question */
    /* What it saw. */
    unsigned questions, a_questions, aaaa_questions, tcp_questions;
};

/** @param ip  IPv4. @param port  0 for a free one. @return false when there is no such socket to be had. */
bool fake_dns_init(struct fake_dns *dns, struct loop *loop, const char *ip, uint16_t port);
void fake_dns_done(struct fake_dns *dns);
