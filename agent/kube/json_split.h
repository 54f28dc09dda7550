/* Cuts a stream of JSON text into the pieces that are worth decoding by themselves, without decoding it: each top-level value of a watch
 * stream, or each element of the top-level "items" array of a list. So a list of 10,000 objects is decoded object by object, never held
 * twice and never stalls the loop. What `fieldsV1` objects hold, those of metadata.managedFields, is left out: they are half of the text,
 * nobody here reads them, and decoding is what a list costs. Bounded: a piece over `limit_bytes` is ERR_LIMIT. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strbuf.h"

enum json_split_mode { JSON_SPLIT_VALUES, JSON_SPLIT_LIST };

enum json_split_piece {
    JSON_SPLIT_VALUE, /* of a stream */
    JSON_SPLIT_HEAD, /* of a list, as far as it came before its items: what a list says of itself there, with "items":[]} to end it */
    JSON_SPLIT_ITEM, /* of a list */
    JSON_SPLIT_REST, /* of a list, all but its items, with "items":[]; comes last, from json_split_finish() */
};

/** A piece: `text` is NUL-terminated, borrowed for the call. */
typedef enum err_code (*json_split_fn)(void *context, const char *text, size_t bytes, enum json_split_piece piece,
                                       struct err *reterr);

struct json_split {
    enum json_split_mode mode;
    json_split_fn fn;
    void *context;
    size_t limit_bytes;
    struct strbuf piece, rest;
    /* lexer state; private */
    int depth; /* of the top-level value: 1 inside its braces */
    bool in_string, escaped;
    bool expect_key; /* the next string at depth 1 is a key */
    bool items_key;  /* the last key at depth 1 was "items" */
    bool in_items;   /* between the brackets of the top-level items array */
    bool any;        /* bytes of a value were seen since the last complete one */
    bool leave_out;  /* the last string was "fieldsV1": if it is a key, what comes now is left out */
    int left_out_at; /* the depth inside the braces of what is being left out; 0: nothing is */
    unsigned key_length;
    char key[12]; /* the beginning of the current string */
};

void json_split_init(struct json_split *split, enum json_split_mode mode, size_t limit_bytes, json_split_fn fn,
                     void *context);
void json_split_done(struct json_split *split);
/** Feeds bytes; calls back for each completed piece. @return ERR_OK, ERR_LIMIT, ERR_NOMEM, ERR_PROTOCOL (not JSON), or what `fn` returned. */
enum err_code json_split_feed(struct json_split *split, const char *data, size_t bytes, struct err *reterr) MUST_USE;
/** The stream ended. @return ERR_PROTOCOL when it ended inside a value. */
enum err_code json_split_finish(struct json_split *split, struct err *reterr) MUST_USE;
