/* The tables behind proto_tree.h; for proto_tree.c only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/proto_tree.h"

enum proto_kind {
    PROTO_TEXT,
    PROTO_INTEGER,
    PROTO_BOOLEAN,
    PROTO_TIME,          /* a message of seconds and nanoseconds; RFC 3339 in JSON */
    PROTO_INT_OR_STRING, /* likewise of two, of which one counts */
    PROTO_MAP,           /* of texts: each entry is a message of key and value */
    PROTO_MESSAGE,
    PROTO_PRESENT, /* anything: an empty object stands for it */
};

struct proto_member {
    uint32_t number;
    const char *key; /* in JSON */
    enum proto_kind kind;
    bool is_list;
    const struct proto_type *type; /* of PROTO_MESSAGE */
};

enum { PROTO_MEMBERS_MAX = 12 };

struct proto_type {
    const struct proto_member *members; /* by number */
    uint32_t count;                     /* PROTO_MEMBERS_MAX at most */
    bool tells_unknown;                 /* fields that are not among these become a member "?" each */
};

extern const struct proto_type proto_list_meta, proto_type_meta, proto_status;
