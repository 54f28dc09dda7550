/* A scenario as it is written: lines of words. Blank lines and lines that begin with # count for nothing. Reading it uses no allocation that
 * a test could make fail. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { SCENARIO_LINES = 1000, SCENARIO_WORDS = 24 };

struct scenario_line {
    unsigned number; /* in its file, from 1 */
    char *text;      /* without leading and trailing space */
    char *words[SCENARIO_WORDS];
    unsigned offsets[SCENARIO_WORDS]; /* of the words in the text */
    unsigned word_count;
    char *split; /* behind the words */
};

struct scenario {
    const char *path;
    struct scenario_line lines[SCENARIO_LINES];
    unsigned line_count;
};

/** @return false, having said why on stderr: no such file, no lines, too many. Release with scenario_done() in any case. */
bool scenario_read(struct scenario *scenario, const char *path);
void scenario_done(struct scenario *scenario);
/** The text from the n-th word on, "" when there is none. */
const char *scenario_rest(const struct scenario_line *line, unsigned word);
/** The n-th word as milliseconds: "250ms", "90s", "10m"; ends the program when it is none. */
uint64_t scenario_ms(const struct scenario_line *line, unsigned word);
uint64_t scenario_number(const struct scenario_line *line, unsigned word);
