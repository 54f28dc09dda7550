/* Latency statistics of probes: Linkerd's histogram buckets for Prometheus and percentiles over a sliding window for people,
 * without a Prometheus. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { LATENCY_BUCKETS = 25, LATENCY_WINDOW = 128 };

/** Upper bounds in milliseconds: {1,2,3,4,5} x {1,10,100,1000,10000}, ascending, as Linkerd's gateway_probe_latency_ms. */
extern const uint32_t latency_bucket_ms[LATENCY_BUCKETS];

struct latency {
    uint64_t bucket[LATENCY_BUCKETS + 1]; /* counts per bucket (not cumulative); the last is +Inf */
    uint64_t count;
    uint64_t sum_us;
    uint32_t window_us[LATENCY_WINDOW]; /* the newest samples, a ring */
    uint32_t window_count, window_next;
    uint32_t last_us;
};

void latency_add(struct latency *latency, uint32_t us);
/** @param permille  500 for the median, 950, 990. @return microseconds, 0 when there is no sample. */
uint32_t latency_percentile_us(const struct latency *latency, uint32_t permille);
/** @param index  0 is the oldest sample of the window; must be less than window_count. */
uint32_t latency_sample_us(const struct latency *latency, uint32_t index);
