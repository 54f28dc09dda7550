/* How many writes may be under way: finds its own level from how long each takes, as TCP Vegas does for packets (Brakmo and Peterson, 1995). How long a
 * write takes when hardly another is under way is the floor; what it takes longer than that is spent queueing in the API server. A few queued keep
 * the server busy; more only make everybody wait, and on a real server creating Services then becomes slower, not faster. While there is always
 * enough to do the level dips from time to time, for a few answers, to measure the floor anew. A server that says that it is overloaded gets
 * half. Pure: the caller brings the times. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    WRITE_LIMIT_CLASSES = 18, /* kinds of writes that take differently long: verb and kind */
    WRITE_LIMIT_FIRST = 8,    /* measured: a level at which no API server that was tried lost throughput */
    WRITE_LIMIT_MIN = 2,
    WRITE_LIMIT_MAX = 64,
    WRITE_LIMIT_RESERVE = 4, /* a level of less is at most doubled */
};

/* How quick answers of one class are. */
struct write_pace {
    uint64_t floor_us, smooth_us; /* 0: not known */
};

struct write_limit {
    double level;
    bool fixed;
    unsigned serial_class;
    uint32_t serial_answers; /* so many more until none of the last was of that class */
    uint64_t lowered_ms;     /* when it was last halved */
    uint32_t since_dip;      /* answers at the level since the last dip */
    uint32_t dip_answers;    /* of the dip under way, still to come; 0: none is */
    struct write_pace paces[WRITE_LIMIT_CLASSES];
};

/** @param fixed         0: finds its own level; else it is this, at most WRITE_LIMIT_MAX.
 *  @param serial_class  what the server does one after another, so that fewer of it may queue; WRITE_LIMIT_CLASSES: nothing. */
void write_limit_init(struct write_limit *limit, uint32_t fixed, unsigned serial_class);
/** @return from WRITE_LIMIT_MIN to WRITE_LIMIT_MAX, or what was fixed. */
uint32_t write_limit_get(const struct write_limit *limit);
/** @return how many more than the level may be under way, of who has hardly any; 0 while the floor is measured, and when the level is fixed. */
uint32_t write_limit_reserve(const struct write_limit *limit);
/** A write was answered, well or not.
 *  @param in_flight  how many were under way when it was sent, itself among them. */
void write_limit_note(struct write_limit *limit, unsigned class, uint64_t latency_us, uint32_t in_flight);
/** The server is overloaded, or did not answer in time. Many such answers within 100 ms say the same thing once. */
void write_limit_lower(struct write_limit *limit, uint64_t now_ms);
