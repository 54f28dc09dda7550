#include "health/reason_news.h"

/* Failures of an address that is still alive, for one, are no reason of its verdict. */
static bool agrees(const struct verdict_machine *machine)
{
    return machine->verdict != VERDICT_UNKNOWN &&
           probe_reason_alive(machine->reason) == (machine->verdict == VERDICT_ALIVE);
}

static void note_told(struct reason_news *news, uint64_t now_ms)
{
    news->told = news->reason;
    news->again_ms[news->told] = now_ms + REASON_NEWS_AGAIN_MS;
}

bool reason_news_take(struct reason_news *news, const struct verdict_machine *machine, uint64_t now_ms,
                      enum probe_reason *ret_before)
{
    if (!agrees(machine))
        return false;
    if (news->transitions != machine->transitions_total) {
        *news = (struct reason_news){.reason = machine->reason, .transitions = machine->transitions_total};
        note_told(news, now_ms);
        return false;
    }
    news->reason = machine->reason;
    if (news->reason == news->told || now_ms < news->again_ms[news->reason])
        return false;
    *ret_before = news->told;
    note_told(news, now_ms);
    return true;
}
