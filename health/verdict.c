#include "health/verdict.h"

enum {
    QUICK_MS = 100,
    DEAD_PERIOD_MS = 1000,
    FAILURE_THRESHOLD = 3,
    NEWS_GAP_QUICKS =
        3, /* quick_ms between the last probe and one that news brings: a dead port still shows within a second */
};

const char *verdict_name(enum verdict verdict)
{
    switch (verdict) {
    case VERDICT_ALIVE:
        return "alive";
    case VERDICT_DEAD:
        return "dead";
    default:
        return "unknown";
    }
}

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Fills in defaults and bounds, so that no delay is longer than the period. */
static struct verdict_config complete(const struct verdict_config *config)
{
    struct verdict_config whole = *config;
    if (whole.period_ms < VERDICT_MIN_PERIOD_MS)
        whole.period_ms = VERDICT_MIN_PERIOD_MS;
    if (whole.period_ms > VERDICT_MAX_PERIOD_MS)
        whole.period_ms = VERDICT_MAX_PERIOD_MS;
    whole.quick_ms = smaller(whole.quick_ms > 0 ? whole.quick_ms : QUICK_MS, whole.period_ms);
    whole.dead_period_ms = smaller(whole.dead_period_ms > 0 ? whole.dead_period_ms : DEAD_PERIOD_MS, whole.period_ms);
    whole.failure_threshold = whole.failure_threshold > 0 ? whole.failure_threshold : FAILURE_THRESHOLD;
    whole.success_threshold = whole.success_threshold > 0 ? whole.success_threshold : 1;
    return whole;
}

/* --- the newest 64 probes --- */

/* The bit of a probe, 0 for one that is too old to be remembered. */
static uint64_t bit_of(const struct verdict_machine *machine, uint64_t sequence)
{
    uint64_t age = machine->sent_sequence - sequence;
    return age < 64 ? UINT64_C(1) << age : 0;
}

/* The bits of all probes sent after this one. */
static uint64_t bits_after(const struct verdict_machine *machine, uint64_t sequence)
{
    uint64_t bit = bit_of(machine, sequence);
    return bit != 0 ? bit - 1 : UINT64_MAX;
}

static uint32_t count_bits(uint64_t bits)
{
    uint32_t count = 0;
    for (; bits != 0; bits &= bits - 1)
        count++;
    return count;
}

/* --- when --- */

static uint64_t next_on_grid(const struct verdict_machine *machine, uint64_t now_ms)
{
    uint64_t period_ms = machine->config.period_ms;
    return now_ms + period_ms - (now_ms + period_ms - machine->phase_ms) % period_ms;
}

/* Whether the probes under way, should they all fail, leave the verdict open. */
static bool wants_verifying(const struct verdict_machine *machine)
{
    if (!machine->doubt)
        return false;
    uint32_t missing = machine->config.failure_threshold > machine->failures
                           ? machine->config.failure_threshold - machine->failures
                           : 1; /* the threshold was lowered meanwhile: one more result decides */
    uint32_t verifying = count_bits(machine->under_way & bits_after(machine, machine->verify_sequence));
    return verifying < smaller(missing, VERDICT_VERIFY_OVERLAP);
}

/* The one place that decides when to probe next. */
static void plan_next(struct verdict_machine *machine)
{
    const struct verdict_config *config = &machine->config;
    if (machine->sent_sequence == 0)
        return; /* the first probe is due since verdict_init() */
    if (machine->verdict == VERDICT_DEAD) {
        /* Where several successes are needed, the first one is confirmed quickly. */
        machine->next_ms = machine->last_sent_ms + (machine->successes > 0 ? config->quick_ms : config->dead_period_ms);
        return;
    }
    machine->next_ms = machine->grid_ms;
    if (wants_verifying(machine) && machine->verify_from_ms < machine->next_ms)
        machine->next_ms = machine->verify_from_ms;
    /* Never closer than this, or a blip at a point of the grid would be counted twice. */
    machine->next_ms = later(machine->next_ms, machine->last_sent_ms + config->quick_ms);
}

void verdict_init(struct verdict_machine *machine, const struct verdict_config *config, uint64_t now_ms,
                  uint32_t phase_ms)
{
    *machine = (struct verdict_machine){.config = complete(config), .since_ms = now_ms, .next_ms = now_ms};
    machine->phase_ms = phase_ms % machine->config.period_ms;
    machine->grid_ms = next_on_grid(machine, now_ms);
}

void verdict_reconfigure(struct verdict_machine *machine, const struct verdict_config *config, uint64_t now_ms,
                         uint32_t phase_ms)
{
    machine->config = complete(config);
    machine->phase_ms = phase_ms % machine->config.period_ms;
    machine->grid_ms = next_on_grid(machine, now_ms);
    plan_next(machine);
}

uint64_t verdict_next_ms(const struct verdict_machine *machine) { return machine->next_ms; }

uint64_t verdict_sent(struct verdict_machine *machine, uint64_t now_ms)
{
    machine->sent_sequence++;
    machine->probes_total++;
    machine->under_way = machine->under_way << 1 | 1;
    machine->failed <<= 1;
    machine->last_sent_ms = now_ms;
    if (now_ms >= machine->grid_ms)
        machine->grid_ms = next_on_grid(machine, now_ms);
    plan_next(machine);
    return machine->sent_sequence;
}

/* --- what it means --- */

static void begin_doubt(struct verdict_machine *machine, uint64_t sequence, uint64_t from_ms)
{
    if (machine->doubt)
        return;
    machine->doubt = true;
    machine->doubt_sequence = sequence;
    machine->verify_sequence = machine->sent_sequence;
    machine->verify_from_ms = from_ms;
}

static bool turn(struct verdict_machine *machine, enum verdict verdict, uint64_t now_ms)
{
    machine->verdict = verdict;
    machine->since_ms = now_ms;
    machine->transitions_total++;
    return true;
}

/* A success while failures of probes sent later are known: it takes back only what was sent before it. */
static void take_late_success(struct verdict_machine *machine, uint64_t sequence)
{
    machine->failed &= bits_after(machine, sequence);
    uint32_t failures = count_bits(machine->failed);
    if (failures > 0 && failures < machine->failures)
        machine->failures = failures;
}

static bool take_success(struct verdict_machine *machine, uint64_t sequence, uint64_t now_ms)
{
    machine->failures = 0;
    machine->failed = 0;
    machine->successes++;
    if (sequence > machine->doubt_sequence)
        machine->doubt = false;
    if (machine->verdict == VERDICT_ALIVE)
        return false;
    if (machine->verdict == VERDICT_DEAD && machine->successes < machine->config.success_threshold)
        return false;
    return turn(machine, VERDICT_ALIVE, now_ms);
}

static bool take_failure(struct verdict_machine *machine, uint64_t sequence, uint64_t now_ms)
{
    machine->successes = 0;
    machine->failures++;
    machine->failed |= bit_of(machine, sequence);
    if (machine->verdict == VERDICT_DEAD)
        return false;
    if (machine->failures >= machine->config.failure_threshold) {
        machine->doubt = false;
        return turn(machine, VERDICT_DEAD, now_ms);
    }
    begin_doubt(machine, sequence, now_ms);
    return false;
}

/* Notes a result that is the newest so far in order of sending. */
static void remember(struct verdict_machine *machine, uint64_t sequence, enum probe_reason reason, int status,
                     uint64_t now_ms)
{
    if (sequence < machine->last_success_sequence || sequence < machine->last_failure_sequence)
        return;
    machine->reason = reason;
    machine->last_status = status;
    machine->last_result_ms = now_ms;
}

static bool take(struct verdict_machine *machine, uint64_t sequence, bool alive, uint64_t now_ms)
{
    if (alive && sequence < machine->last_failure_sequence) {
        machine->last_success_sequence = later(sequence, machine->last_success_sequence);
        take_late_success(machine, sequence);
        return false;
    }
    if (alive) {
        machine->last_success_sequence = later(sequence, machine->last_success_sequence);
        return take_success(machine, sequence, now_ms);
    }
    machine->last_failure_sequence = later(sequence, machine->last_failure_sequence);
    return take_failure(machine, sequence, now_ms);
}

bool verdict_result(struct verdict_machine *machine, uint64_t sequence, enum probe_reason reason, int status,
                    uint64_t now_ms)
{
    bool alive = probe_reason_alive(reason), changed = false;
    machine->under_way &= ~bit_of(machine, sequence);
    if (!alive && reason != REASON_INTERNAL)
        machine->failures_total++;
    /* A failure of a probe sent before one that has succeeded since tells of a time that is over. */
    bool outdated = !alive && sequence < machine->last_success_sequence;
    if (reason != REASON_INTERNAL && !outdated) {
        remember(machine, sequence, reason, status, now_ms);
        changed = take(machine, sequence, alive, now_ms);
    }
    plan_next(machine);
    return changed;
}

void verdict_news(struct verdict_machine *machine, uint64_t now_ms)
{
    if (machine->verdict == VERDICT_DEAD || machine->sent_sequence == 0)
        return;
    begin_doubt(machine, machine->sent_sequence,
                later(now_ms, machine->last_sent_ms + (uint64_t)NEWS_GAP_QUICKS * machine->config.quick_ms));
    plan_next(machine);
}
