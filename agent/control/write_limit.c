#include "agent/control/write_limit.h"

/* Queued in the server: with fewer than the one the level rises by one a round, with more than the other it falls. Measured on two cores: 5,000 updates
 * of slices take a quarter longer with 16 in flight than with 24, and 32 gain nothing more; creations of Services get slower above 8, because the
 * server gives them their ClusterIPs one after another. */
enum { QUEUED_LOW = 20, QUEUED_HIGH = 28, SERIAL_LOW = 2, SERIAL_HIGH = 4 };
enum { SERIAL_ANSWERS = 64 }; /* while one of the last so many was serial, its bounds are for all: the level is one */
enum { DIP_ANSWERS = 3, DIP_EVERY = 100, DIP_ROUNDS = 20 }; /* a dip costs about a round: no more than one in twenty */
enum { SMOOTH = 8, SMOOTH_FLOOR = 4, SAME_OVERLOAD_MS = 100 };

void write_limit_init(struct write_limit *limit, uint32_t fixed, unsigned serial_class)
{
    *limit = (struct write_limit){.level = WRITE_LIMIT_FIRST, .fixed = fixed > 0, .serial_class = serial_class};
    if (fixed > 0)
        limit->level = fixed < WRITE_LIMIT_MAX ? fixed : WRITE_LIMIT_MAX;
}

uint32_t write_limit_get(const struct write_limit *limit)
{
    return limit->dip_answers > 0 ? WRITE_LIMIT_MIN : (uint32_t)limit->level;
}

uint32_t write_limit_reserve(const struct write_limit *limit)
{
    if (limit->fixed || limit->dip_answers > 0)
        return 0;
    uint32_t level = write_limit_get(limit);
    return level < WRITE_LIMIT_RESERVE ? level : WRITE_LIMIT_RESERVE;
}

static void move(struct write_limit *limit, double by)
{
    limit->level += by;
    if (limit->level < WRITE_LIMIT_MIN)
        limit->level = WRITE_LIMIT_MIN;
    if (limit->level > WRITE_LIMIT_MAX)
        limit->level = WRITE_LIMIT_MAX;
}

static uint64_t smooth(uint64_t before_us, uint64_t latency_us, unsigned weight)
{
    return before_us == 0 ? latency_us : (before_us * (weight - 1) + latency_us + weight / 2) / weight;
}

/* @return the floor. */
static uint64_t note_floor(struct write_pace *pace, uint64_t latency_us, bool alone)
{
    if (alone)
        pace->floor_us = smooth(pace->floor_us, latency_us, SMOOTH_FLOOR);
    if (pace->floor_us == 0 || latency_us < pace->floor_us)
        pace->floor_us = latency_us;
    return pace->floor_us;
}

static void adjust(struct write_limit *limit, double floor_us, double now_us, uint32_t in_flight)
{
    double under_way = in_flight > limit->level ? in_flight : limit->level; /* with the reserve's */
    double queued = now_us > floor_us ? under_way * (1 - floor_us / now_us) : 0;
    bool serial = limit->serial_answers > 0;
    if (queued < (serial ? SERIAL_LOW : QUEUED_LOW))
        move(limit, 1 / limit->level);
    else if (queued > (serial ? SERIAL_HIGH : QUEUED_HIGH))
        move(limit, -1 / limit->level);
    if (++limit->since_dip > DIP_EVERY + DIP_ROUNDS * (uint32_t)limit->level) {
        limit->since_dip = 0;
        limit->dip_answers = DIP_ANSWERS;
    }
}

void write_limit_note(struct write_limit *limit, unsigned class, uint64_t latency_us, uint32_t in_flight)
{
    struct write_pace *pace = &limit->paces[class % WRITE_LIMIT_CLASSES];
    bool alone = in_flight <= WRITE_LIMIT_MIN;
    latency_us = latency_us > 0 ? latency_us : 1;
    if (class == limit->serial_class)
        limit->serial_answers = SERIAL_ANSWERS;
    else if (limit->serial_answers > 0)
        limit->serial_answers--;
    uint64_t floor_us = note_floor(pace, latency_us, alone);
    if (limit->dip_answers > 0) {
        limit->dip_answers -= alone ? 1 : 0;
        return; /* those sent before it still come back, and say nothing new */
    }
    pace->smooth_us = smooth(pace->smooth_us, latency_us, SMOOTH);
    if (!limit->fixed &&
        in_flight + 1 >= write_limit_get(limit)) /* else there was not enough to do to learn anything */
        adjust(limit, (double)floor_us, (double)pace->smooth_us, in_flight);
}

void write_limit_lower(struct write_limit *limit, uint64_t now_ms)
{
    if (limit->fixed || (limit->lowered_ms != 0 && now_ms - limit->lowered_ms < SAME_OVERLOAD_MS))
        return;
    limit->lowered_ms = now_ms;
    move(limit, -limit->level / 2);
}
