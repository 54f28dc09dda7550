#include "mirror/naming.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

#define DEFAULT_TEMPLATE "{name}-{cluster}" /* Linkerd's */

struct naming naming_of(const struct kv_list *annotations)
{
    return (struct naming){.name = kv_get(annotations, LINK_MIRROR_NAME),
                           .namespaces = kv_get(annotations, LINK_NAMESPACE_MAP),
                           .allowed = kv_get(annotations, LINK_ALLOWED_NAMESPACES)};
}

static const char *copy_optional(struct arena *arena, const char *text)
{
    return text != NULL ? arena_strdup(arena, text) : NULL;
}

struct naming naming_copy(struct arena *arena, const struct naming *naming)
{
    return (struct naming){.name = copy_optional(arena, naming->name),
                           .namespaces = copy_optional(arena, naming->namespaces),
                           .allowed = copy_optional(arena, naming->allowed)};
}

bool naming_equal(const struct naming *a, const struct naming *b)
{
    return text_equal(a->name, b->name) && text_equal(a->namespaces, b->namespaces) &&
           text_equal(a->allowed, b->allowed);
}

/* ---- the template ---- */

enum placeholder { PLACE_NAME, PLACE_NAMESPACE, PLACE_CLUSTER, PLACES };

static const char *const places[PLACES] = {
    [PLACE_NAME] = "{name}", [PLACE_NAMESPACE] = "{namespace}", [PLACE_CLUSTER] = "{cluster}"};

/* The placeholder at the beginning of the text; PLACES when there is none. */
static enum placeholder place_at(const char *text)
{
    enum placeholder place = PLACE_NAME;
    while (place < PLACES && !text_starts_with(text, places[place]))
        place++;
    return place;
}

static const char *template_of(const struct naming *naming)
{
    return naming->name != NULL && naming->name[0] != '\0' ? naming->name : DEFAULT_TEMPLATE;
}

/* Cuts what does not fit, which is too long for any name. @return the new length. */
static size_t append(char text[OBJECT_KEY_BYTES], size_t used, const char *more, size_t length)
{
    size_t room = OBJECT_KEY_BYTES - 1 - used;
    length = length < room ? length : room;
    memcpy(text + used, more, length);
    text[used + length] = '\0';
    return used + length;
}

/* With `ret_name_at`: where the name begins in it. */
static void expand(const char *template, const char *const values[PLACES], char ret_text[OBJECT_KEY_BYTES],
                   size_t *ret_name_at)
{
    size_t used = 0;
    ret_text[0] = '\0';
    while (*template != '\0') {
        enum placeholder place = place_at(template);
        if (place == PLACE_NAME && ret_name_at != NULL)
            *ret_name_at = used;
        const char *more = place < PLACES ? values[place] : template;
        used = append(ret_text, used, more, place < PLACES ? strlen(more) : 1);
        template += place < PLACES ? strlen(places[place]) : 1;
    }
}

static enum err_code check_places(const char *template, struct err *reterr)
{
    bool seen[PLACES] = {false};
    for (const char *at = strchr(template, '{'); at != NULL; at = strchr(at + 1, '{')) {
        enum placeholder place = place_at(at);
        size_t length = strcspn(at, "}");
        if (place == PLACES)
            return err_set(reterr, ERR_INVALID,
                           "annotation " LINK_MIRROR_NAME
                           " \"%.60s\": %.*s is not known: use {name}, {namespace} and {cluster}",
                           template, (int)(length < 40 ? length + (at[length] != '\0') : 40), at);
        if (seen[place])
            return err_set(reterr, ERR_INVALID, "annotation " LINK_MIRROR_NAME " \"%.60s\" has %s twice: write it once",
                           template, places[place]);
        seen[place] = true;
    }
    if (!seen[PLACE_NAME])
        return err_set(reterr, ERR_INVALID,
                       "annotation " LINK_MIRROR_NAME
                       " \"%.60s\" has no {name}: all services would have one mirror; write e.g. \"" DEFAULT_TEMPLATE
                       "\"",
                       template);
    return ERR_OK;
}

/* What no service could make a name of is the template's fault; what only some services cannot is told of these. */
static enum err_code check_template(const char *template, const char *cluster, struct err *reterr)
{
    char shortest[OBJECT_KEY_BYTES];
    const char *const values[PLACES] = {[PLACE_NAME] = "a", [PLACE_NAMESPACE] = "a", [PLACE_CLUSTER] = cluster};
    TRY(check_places(template, reterr));
    expand(template, values, shortest, NULL);
    if (text_is_dns1123_label(shortest))
        return ERR_OK;
    return err_set(reterr, ERR_INVALID,
                   "annotation " LINK_MIRROR_NAME
                   " \"%.60s\" makes \"%.80s\" of service a, which is not a Service name: use at most 63 of a-z, 0-9 "
                   "and -, beginning and ending with a letter or digit",
                   template, shortest);
}

void naming_name(const struct naming *naming, const char *cluster, const char *namespace, const char *name,
                 char ret_name[OBJECT_KEY_BYTES])
{
    const char *const values[PLACES] = {[PLACE_NAME] = name, [PLACE_NAMESPACE] = namespace, [PLACE_CLUSTER] = cluster};
    expand(template_of(naming), values, ret_name, NULL);
}

bool naming_origin_name(const struct naming *naming, const char *cluster, const char *namespace,
                        const char *mirror_name, char ret_name[OBJECT_KEY_BYTES])
{
    char around[OBJECT_KEY_BYTES];
    const char *const values[PLACES] = {[PLACE_NAME] = "", [PLACE_NAMESPACE] = namespace, [PLACE_CLUSTER] = cluster};
    size_t before = 0, length = strlen(mirror_name);
    expand(template_of(naming), values, around, &before);
    size_t both = strlen(around);
    if (length <= both || length >= OBJECT_KEY_BYTES || strncmp(mirror_name, around, before) != 0 ||
        strcmp(mirror_name + length - (both - before), around + before) != 0)
        return false;
    (void)snprintf(ret_name, OBJECT_KEY_BYTES, "%.*s", (int)(length - both), mirror_name + before);
    return true;
}

/* ---- the map of namespaces ---- */

/* "prod=prod-west": its two sides, "" for one that is missing or too long for a name. */
struct pair {
    char from[64], to[64];
};

static void copy_side(char ret_side[64], const char *text, size_t length)
{
    (void)snprintf(ret_side, 64, "%.*s", length < 64 ? (int)length : 0, text);
}

static const char *next_pair(const char **list, struct pair *ret_pair, size_t *ret_length)
{
    const char *word = text_next_word(list, ret_length);
    if (word == NULL)
        return NULL;
    const char *equals = memchr(word, '=', *ret_length);
    size_t from = equals != NULL ? (size_t)(equals - word) : *ret_length;
    copy_side(ret_pair->from, word, from);
    copy_side(ret_pair->to, word + from + 1, equals != NULL ? *ret_length - from - 1 : 0);
    return word;
}

static bool is_star(const char *text) { return strcmp(text, "*") == 0; }

/* The first pair for that namespace, with its place in the list as `ret_word`. */
static bool find_pair(const char *map, const char *from, struct pair *ret_pair, const char **ret_word)
{
    size_t length = 0;
    for (*ret_word = next_pair(&map, ret_pair, &length); *ret_word != NULL;
         *ret_word = next_pair(&map, ret_pair, &length))
        if (strcmp(ret_pair->from, from) == 0)
            return true;
    return false;
}

static enum err_code check_map(const char *map, struct err *reterr)
{
    struct pair pair, first;
    const char *rest = map, *at = NULL;
    size_t length = 0, count = 0;
    for (const char *word = next_pair(&rest, &pair, &length); word != NULL; word = next_pair(&rest, &pair, &length)) {
        if ((!is_star(pair.from) && !text_is_dns1123_label(pair.from)) || !text_is_dns1123_label(pair.to))
            return err_set(reterr, ERR_INVALID,
                           "annotation " LINK_NAMESPACE_MAP
                           ": \"%.*s\" is no pair of namespaces: write e.g. \"prod=prod-west, staging=stage, *=other\"",
                           (int)(length < 130 ? length : 130), word);
        if (find_pair(map, pair.from, &first, &at) && at != word)
            return err_set(reterr, ERR_INVALID,
                           "annotation " LINK_NAMESPACE_MAP ": namespace %s is mapped twice, to %s and to %s: keep one",
                           pair.from, first.to, pair.to);
        if (++count > NAMING_MAX_WORDS)
            return err_set(reterr, ERR_INVALID,
                           "annotation " LINK_NAMESPACE_MAP ": more than %d pairs: map all others at once by *",
                           NAMING_MAX_WORDS);
    }
    return ERR_OK;
}

void naming_namespace(const struct naming *naming, const char *namespace, char ret_namespace[OBJECT_KEY_BYTES])
{
    struct pair pair;
    const char *map = naming->namespaces != NULL ? naming->namespaces : "", *at = NULL;
    bool mapped = find_pair(map, namespace, &pair, &at) || find_pair(map, "*", &pair, &at);
    (void)snprintf(ret_namespace, OBJECT_KEY_BYTES, "%s", mapped ? pair.to : namespace);
}

/* First the namespace itself, when it keeps its mirrors, then the others that have theirs there. */
bool naming_origin_namespace(const struct naming *naming, const char *mirror_namespace, uint32_t index,
                             char ret_namespace[OBJECT_KEY_BYTES])
{
    struct pair pair;
    const char *map = naming->namespaces != NULL ? naming->namespaces : "";
    size_t length = 0;
    naming_namespace(naming, mirror_namespace, ret_namespace);
    if (strcmp(ret_namespace, mirror_namespace) == 0 && index-- == 0)
        return true;
    while (next_pair(&map, &pair, &length) != NULL) {
        if (is_star(pair.from) || strcmp(pair.from, mirror_namespace) == 0 || strcmp(pair.to, mirror_namespace) != 0)
            continue;
        if (index-- == 0) {
            (void)snprintf(ret_namespace, OBJECT_KEY_BYTES, "%s", pair.from);
            return true;
        }
    }
    return false;
}

/* ---- the list of namespaces that services may choose ---- */

/* "team-*" or "*": a beginning and a star. */
static bool is_namespace_pattern(const char *word, size_t length)
{
    char label[64];
    if (length == 0 || length >= sizeof(label))
        return false;
    (void)snprintf(label, sizeof(label), "%.*s", (int)length, word);
    if (label[length - 1] == '*')
        label[length - 1] = 'a'; /* whatever follows */
    return text_is_dns1123_label(label);
}

enum err_code naming_check_allowed(const char *list, struct err *reterr)
{
    size_t length = 0, count = 0;
    for (const char *word = text_next_word(&list, &length); word != NULL; word = text_next_word(&list, &length)) {
        if (!is_namespace_pattern(word, length))
            return err_set(reterr, ERR_INVALID,
                           "\"%.*s\" is not a name of a namespace: write e.g. \"shared, team-*\", or \"*\" for all",
                           (int)(length < 80 ? length : 80), word);
        if (++count > NAMING_MAX_WORDS)
            return err_set(reterr, ERR_INVALID,
                           "more than %d namespaces are named: use beginnings of names, as in team-*",
                           NAMING_MAX_WORDS);
    }
    return ERR_OK;
}

bool naming_allows(const char *list, const char *namespace)
{
    size_t length = 0;
    if (list == NULL)
        return false;
    for (const char *word = text_next_word(&list, &length); word != NULL; word = text_next_word(&list, &length)) {
        bool begins = word[length - 1] == '*';
        size_t compared = begins ? length - 1 : length;
        if (strncmp(word, namespace, compared) == 0 && (begins || namespace[compared] == '\0'))
            return true;
    }
    return false;
}

enum err_code naming_check(const struct naming *naming, const char *cluster, struct err *reterr)
{
    if (naming->name != NULL && naming->name[0] != '\0')
        TRY(check_template(naming->name, cluster, reterr));
    if (naming->namespaces != NULL)
        TRY(check_map(naming->namespaces, reterr));
    if (naming->allowed != NULL && naming_check_allowed(naming->allowed, reterr) != ERR_OK)
        return err_context(reterr, "annotation " LINK_ALLOWED_NAMESPACES);
    return ERR_OK;
}
