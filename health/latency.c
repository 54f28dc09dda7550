#include "health/latency.h"

#include <stdlib.h>
#include <string.h>

const uint32_t latency_bucket_ms[LATENCY_BUCKETS] = {1,    2,    3,     4,     5,     10,    20,   30,   40,
                                                     50,   100,  200,   300,   400,   500,   1000, 2000, 3000,
                                                     4000, 5000, 10000, 20000, 30000, 40000, 50000};

void latency_add(struct latency *latency, uint32_t us)
{
    unsigned bucket = 0;
    while (bucket < LATENCY_BUCKETS && us > latency_bucket_ms[bucket] * 1000)
        bucket++;
    latency->bucket[bucket]++;
    latency->count++;
    latency->sum_us += us;
    latency->last_us = us;
    latency->window_us[latency->window_next] = us;
    latency->window_next = (latency->window_next + 1) % LATENCY_WINDOW;
    if (latency->window_count < LATENCY_WINDOW)
        latency->window_count++;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

uint32_t latency_percentile_us(const struct latency *latency, uint32_t permille)
{
    uint32_t sorted[LATENCY_WINDOW];
    if (latency->window_count == 0)
        return 0;
    memcpy(sorted, latency->window_us, latency->window_count * sizeof(*sorted));
    qsort(sorted, latency->window_count, sizeof(*sorted), compare);
    /* Nearest rank: the smallest sample that at least permille/1000 of all do not exceed. */
    uint64_t rank = ((uint64_t)permille * latency->window_count + 999) / 1000;
    if (rank > latency->window_count)
        rank = latency->window_count;
    return sorted[rank > 0 ? rank - 1 : 0];
}

uint32_t latency_sample_us(const struct latency *latency, uint32_t index)
{
    return latency->window_us[(latency->window_next + LATENCY_WINDOW - latency->window_count + index) % LATENCY_WINDOW];
}
