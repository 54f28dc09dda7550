/* The health check of one gateway address: a probe connection (net/probe.h) driven by a verdict machine (health/verdict.h) on a timer. */
#pragma once

#include "agent/loop/loop.h"
#include "agent/net/probe.h"
#include "health/latency.h"
#include "health/reason_news.h"
#include "health/verdict.h"
#include "mirror/link.h"

struct gateway_address;

struct gateway_address_callbacks {
    void (*on_verdict)(struct gateway_address *address, enum verdict old);       /* machine.verdict changed */
    void (*on_probe)(struct gateway_address *address, enum probe_reason reason); /* a probe ended; `last` is filled */
    /* The verdict stays, and is to be told again: news.reason is another one than what was told before. */
    void (*on_reason)(struct gateway_address *address, enum probe_reason before);
};

enum { ADDRESS_PENDING = 16 };

struct gateway_address {
    char ip[TEXT_IP_BYTES];
    struct verdict_machine machine;
    struct reason_news news;
    struct latency latency;
    struct probe_observation last;
    int64_t last_probe_us, since_us; /* wall clock; 0: never */
    void *owner;
    struct gateway_address *next; /* in the owner's list */
    /* private */
    struct loop *loop;
    struct http *http;
    struct probe_link *link;
    struct loop_timer *timer;
    const struct gateway_address_callbacks *callbacks;
    struct probe_spec spec;
    uint32_t turn; /* which part of the period it is probed in */
    char *path, *host;
    char normalised[1024];
    struct {
        uint32_t id;
        uint64_t sequence;
    } pending[ADDRESS_PENDING]; /* probes under way; sequence 0: free */
};

/** Makes one, idle until it is configured. @param cluster_name  whose gateway it is: many clusters may share an address. */
enum err_code gateway_address_new(struct loop *loop, struct http *http, const char *ip, const char *cluster_name,
                                  const struct gateway_address_callbacks *callbacks, void *owner,
                                  struct gateway_address **ret_address, struct err *reterr) MUST_USE;
/** Probes as `spec` says from now on: the verdict and its history stay; a changed port, path, host or timeout makes a new connection.
 *  @return ERR_OK, ERR_NOMEM, ERR_INVALID (a path that cannot be sent). */
enum err_code gateway_address_configure(struct gateway_address *address, const struct probe_spec *spec,
                                        const char *host, struct err *reterr) MUST_USE;
void gateway_address_free(struct gateway_address *address); /* takes NULL */
