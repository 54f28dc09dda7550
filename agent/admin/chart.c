#include "agent/admin/chart.h"

enum { WIDTH = LATENCY_WINDOW, HEIGHT = 24, PAD = 2 };

struct range {
    uint32_t least_us, most_us, last_us;
};

static struct range range_of(const struct latency *latency)
{
    struct range range = {.least_us = UINT32_MAX};
    for (uint32_t i = 0; i < latency->window_count; i++) {
        uint32_t us = latency_sample_us(latency, i);
        range.least_us = us < range.least_us ? us : range.least_us;
        range.most_us = us > range.most_us ? us : range.most_us;
        range.last_us = us;
    }
    return range;
}

/* From zero, so that two charts of the same shape mean the same: twice as high is twice as slow. */
static double height_of(uint32_t us, const struct range *range)
{
    double most = range->most_us > 0 ? range->most_us : 1;
    return HEIGHT - PAD - us / most * (HEIGHT - 2 * PAD);
}

static void put_range(struct html *html, const struct latency *latency, const struct range *range)
{
    strbuf_printf(html->text, "Latency of the last %u good probes: %.1f to %.1f ms, the last one %.1f ms",
                  latency->window_count, range->least_us / 1000.0, range->most_us / 1000.0, range->last_us / 1000.0);
}

void chart_write(struct html *html, const struct latency *latency)
{
    if (latency == NULL || latency->window_count == 0) {
        html_put(html, "<span class=\"soft\">–</span>");
        return;
    }
    struct range range = range_of(latency);
    strbuf_printf(html->text, "<svg class=\"chart\" role=\"img\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">",
                  WIDTH + 2 * PAD, HEIGHT, WIDTH + 2 * PAD, HEIGHT);
    html_put(html, "<title>");
    put_range(html, latency, &range);
    html_put(html, "</title><polyline points=\"");
    uint32_t first = WIDTH - latency->window_count; /* the newest is always at the right */
    for (uint32_t i = 0; i < latency->window_count; i++)
        strbuf_printf(html->text, "%s%u,%.1f", i > 0 ? " " : "", PAD + first + i,
                      height_of(latency_sample_us(latency, i), &range));
    strbuf_printf(html->text, "\"></polyline><circle cx=\"%u\" cy=\"%.1f\" r=\"2\"></circle></svg>", PAD + WIDTH - 1,
                  height_of(range.last_us, &range));
}
