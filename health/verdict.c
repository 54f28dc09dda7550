#include "health/verdict.h"

enum { QUICK_MS = 100, DEAD_PERIOD_MS = 1000, FAILURE_THRESHOLD = 3 };

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {[VERDICT_UNKNOWN] = "unknown", [VERDICT_ALIVE] = "alive", [VERDICT_DEAD] = "dead"};
    return names[verdict];
}

static struct verdict_config complete(const struct verdict_config *config)
{
    struct verdict_config whole = *config;
    if (whole.period_ms < VERDICT_MIN_PERIOD_MS)
        whole.period_ms = VERDICT_MIN_PERIOD_MS;
    if (whole.period_ms > VERDICT_MAX_PERIOD_MS)
        whole.period_ms = VERDICT_MAX_PERIOD_MS;
    whole.quick_ms = whole.quick_ms > 0 ? whole.quick_ms : QUICK_MS;
    whole.dead_period_ms = whole.dead_period_ms > 0 ? whole.dead_period_ms : DEAD_PERIOD_MS;
    whole.failure_threshold = whole.failure_threshold > 0 ? whole.failure_threshold : FAILURE_THRESHOLD;
    whole.success_threshold = whole.success_threshold > 0 ? whole.success_threshold : 1;
    return whole;
}

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

static uint32_t quick_ms(const struct verdict_machine *machine) { return smaller(machine->config.quick_ms, machine->config.period_ms); }

static uint32_t dead_period_ms(const struct verdict_machine *machine)
{
    return smaller(machine->config.dead_period_ms, machine->config.period_ms);
}

/* The next point of the periodic schedule after now. The schedule is an even grid, so that a probe that was brought forward does not shift those
 * after it. */
static uint64_t next_on_grid(const struct verdict_machine *machine, uint64_t now_ms)
{
    uint64_t period_ms = machine->config.period_ms;
    return now_ms + period_ms - (now_ms + period_ms - machine->phase_ms) % period_ms;
}

void verdict_init(struct verdict_machine *machine, const struct verdict_config *config, uint64_t now_ms, uint32_t phase_ms)
{
    *machine = (struct verdict_machine){.config = complete(config), .since_ms = now_ms, .next_ms = now_ms};
    machine->phase_ms = phase_ms % machine->config.period_ms;
}

void verdict_reconfigure(struct verdict_machine *machine, const struct verdict_config *config, uint64_t now_ms)
{
    machine->config = complete(config);
    machine->phase_ms %= machine->config.period_ms;
    uint64_t next_ms = next_on_grid(machine, now_ms);
    if (next_ms < machine->next_ms)
        machine->next_ms = next_ms;
}

uint64_t verdict_next_ms(const struct verdict_machine *machine) { return machine->next_ms; }

/* In doubt: a failure was seen, or a connection ended, and no probe sent since has succeeded. */
static bool in_doubt(const struct verdict_machine *machine) { return machine->verdict != VERDICT_DEAD && machine->suspicious; }

uint64_t verdict_sent(struct verdict_machine *machine, uint64_t now_ms)
{
    machine->sent_sequence++;
    machine->probes_total++;
    if (machine->verdict == VERDICT_DEAD) {
        machine->next_ms = now_ms + dead_period_ms(machine);
        return machine->sent_sequence;
    }
    if (in_doubt(machine))
        machine->verifying++;
    /* In doubt as many probes as the verdict needs are sent one after the other without waiting for their answers, so that a black hole, where
     * each takes a second to fail, costs that second once. More than that would be noise. */
    if (in_doubt(machine) && machine->verifying < machine->config.failure_threshold)
        machine->next_ms = now_ms + quick_ms(machine);
    else
        machine->next_ms = next_on_grid(machine, now_ms);
    return machine->sent_sequence;
}

static bool turn(struct verdict_machine *machine, enum verdict verdict, uint64_t now_ms)
{
    machine->verdict = verdict;
    machine->since_ms = now_ms;
    machine->transitions_total++;
    machine->failures = machine->successes = 0;
    machine->suspicious = false;
    machine->verifying = 0;
    return true;
}

static void bring_forward(struct verdict_machine *machine, uint64_t due_ms)
{
    if (due_ms < machine->next_ms)
        machine->next_ms = due_ms;
}

static bool take_success(struct verdict_machine *machine, uint64_t sequence, uint64_t now_ms)
{
    if (sequence > machine->last_success_sequence)
        machine->last_success_sequence = sequence;
    machine->failures = 0;
    machine->suspicious = false;
    machine->verifying = 0;
    machine->successes++;
    uint32_t needed = machine->verdict == VERDICT_DEAD ? machine->config.success_threshold : 1;
    if (machine->verdict != VERDICT_ALIVE && machine->successes >= needed) {
        (void)turn(machine, VERDICT_ALIVE, now_ms);
        machine->next_ms = next_on_grid(machine, now_ms);
        return true;
    }
    if (machine->verdict == VERDICT_DEAD)
        bring_forward(machine, now_ms + quick_ms(machine)); /* on the way back: confirm soon */
    else
        machine->next_ms = next_on_grid(machine, now_ms); /* verifying probes that were still to come are not needed */
    return false;
}

static bool take_failure(struct verdict_machine *machine, uint64_t now_ms)
{
    machine->failures_total++;
    machine->successes = 0;
    machine->failures++;
    if (machine->verdict == VERDICT_DEAD)
        return false;
    if (machine->failures >= machine->config.failure_threshold) {
        (void)turn(machine, VERDICT_DEAD, now_ms);
        machine->next_ms = now_ms + dead_period_ms(machine);
        return true;
    }
    machine->suspicious = true;
    /* Probes already under way may bring the count up; otherwise one more is due soon. */
    uint32_t under_way = machine->verifying > machine->failures ? machine->verifying - machine->failures : 0;
    if (machine->failures + under_way < machine->config.failure_threshold)
        bring_forward(machine, now_ms + quick_ms(machine));
    if (machine->verifying < machine->failures)
        machine->verifying = machine->failures; /* this one was sent before there was doubt */
    return false;
}

bool verdict_result(struct verdict_machine *machine, uint64_t sequence, enum probe_reason reason, int status, uint64_t now_ms)
{
    bool alive = probe_reason_alive(reason);
    if (reason == REASON_INTERNAL) {
        if (in_doubt(machine) && machine->verifying > 0)
            machine->verifying--; /* it will not answer */
        bring_forward(machine, now_ms + quick_ms(machine));
        return false;
    }
    /* A late failure of a probe sent before one that has succeeded since tells of a time that is over. */
    if (!alive && sequence < machine->last_success_sequence)
        return false;
    machine->reason = reason;
    machine->last_status = status;
    machine->last_result_ms = now_ms;
    return alive ? take_success(machine, sequence, now_ms) : take_failure(machine, now_ms);
}

void verdict_news(struct verdict_machine *machine, uint64_t now_ms)
{
    if (machine->verdict != VERDICT_DEAD && !machine->suspicious) {
        machine->suspicious = true;
        machine->verifying = 0;
    }
    bring_forward(machine, now_ms);
}
