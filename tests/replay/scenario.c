#include "tests/replay/scenario.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add_line(struct scenario *scenario, unsigned number, char *text)
{
    if (scenario->line_count == SCENARIO_LINES)
        return false;
    struct scenario_line *line = &scenario->lines[scenario->line_count++];
    *line = (struct scenario_line){.number = number, .text = strdup(text), .split = strdup(text)};
    if (line->text == NULL || line->split == NULL)
        return false;
    char *rest = NULL;
    for (char *word = strtok_r(line->split, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (line->word_count == SCENARIO_WORDS)
            return true; /* a sentence: its words count for nothing, its text for all */
        line->offsets[line->word_count] = (unsigned)(word - line->split);
        line->words[line->word_count++] = word;
    }
    return true;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    return text;
}

bool scenario_read(struct scenario *scenario, const char *path)
{
    char buffer[4096];
    bool ok = true;
    *scenario = (struct scenario){.path = path};
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        perror(path);
        return false;
    }
    for (unsigned number = 1; ok && fgets(buffer, sizeof(buffer), file) != NULL; number++) {
        char *text = trim(buffer);
        if (*text != '\0' && *text != '#')
            ok = add_line(scenario, number, text);
    }
    (void)fclose(file);
    if (!ok || scenario->line_count == 0)
        (void)fprintf(stderr, "%s: %s\n", path, ok ? "nothing happens in it" : "too long");
    return ok && scenario->line_count > 0;
}

void scenario_done(struct scenario *scenario)
{
    for (unsigned i = 0; i < scenario->line_count; i++) {
        free(scenario->lines[i].text);
        free(scenario->lines[i].split);
    }
    scenario->line_count = 0;
}

const char *scenario_rest(const struct scenario_line *line, unsigned word)
{
    return word < line->word_count ? line->text + line->offsets[word] : "";
}

static _Noreturn void no_number(const struct scenario_line *line)
{
    (void)fprintf(stderr, "line %u: %s: not a number, or not one of ms, s or m\n", line->number, line->text);
    exit(2);
}

uint64_t scenario_number(const struct scenario_line *line, unsigned word)
{
    char *end = NULL;
    uint64_t value = strtoull(line->words[word], &end, 10);
    if (*end != '\0')
        no_number(line);
    return value;
}

uint64_t scenario_ms(const struct scenario_line *line, unsigned word)
{
    char *unit = NULL;
    uint64_t value = strtoull(line->words[word], &unit, 10);
    if (strcmp(unit, "ms") == 0)
        return value;
    if (strcmp(unit, "s") == 0)
        return value * 1000;
    if (strcmp(unit, "m") != 0)
        no_number(line);
    return value * 60 * 1000;
}
