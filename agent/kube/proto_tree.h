/* Kubernetes objects as API servers send them in protobuf, read into the tree that their JSON would give: whoever decodes objects does not know which of
 * the two it was. Only what this program reads is taken; of the rest only whether it is there, where that matters (proto_schema.c). An empty text, a
 * 0 and an empty time are left out, as `omitempty` leaves them out of JSON.
 *
 * Sources: the generated.proto files of k8s.io/api and k8s.io/apimachinery, whose field numbers are part of the API's stability promise, and
 * "Kubernetes Protobuf encoding" in its API concepts: an object stands in a runtime.Unknown behind the four bytes "k8s\0". */
#pragma once

#include "agent/kube/json_tree.h"

/** What an HTTP header calls it. */
#define PROTO_MEDIA_TYPE "application/vnd.kubernetes.protobuf"

/** What an object in its envelope, and a list, begin with, NUL included. */
#define PROTO_MAGIC "k8s"

/** What all that reads protobuf here says of what it cannot read. @return ERR_PROTOCOL. */
enum err_code proto_wrong(struct err *reterr, const char *what);

/** A message's fields; constants of proto_schema.c. */
struct proto_type;

/** @return the type of an object of that kind; NULL: this program does not read it in protobuf. */
const struct proto_type *proto_type_of(const char *kind);

/** Reads an object without its envelope, as it stands in a list: it does not say of what kind it is.
 *  @param[out] ret_tree  lives as long as the arena. @return ERR_OK, ERR_PROTOCOL, ERR_NOMEM. */
enum err_code proto_tree_read(struct arena *arena, const char *bytes, size_t length, const struct proto_type *type,
                              const struct json_tree **ret_tree, struct err *reterr) MUST_USE;

/** Reads the metadata of a list: `resourceVersion`, `continue`. Likewise. */
enum err_code proto_tree_list_meta(struct arena *arena, const char *bytes, size_t length,
                                   const struct json_tree **ret_tree, struct err *reterr) MUST_USE;

/** Reads a TypeMeta: `apiVersion`, `kind`. Likewise. */
enum err_code proto_tree_type_meta(struct arena *arena, const char *bytes, size_t length,
                                   const struct json_tree **ret_tree, struct err *reterr) MUST_USE;

/** Reads an event of a watch: `type`, `object`. Its object is of that type, or a Status; of any other kind it has nothing but its kind. Likewise. */
enum err_code proto_tree_event(struct arena *arena, const char *bytes, size_t length, const struct proto_type *type,
                               const struct json_tree **ret_tree, struct err *reterr) MUST_USE;

/** Reads a whole answer that is to be a Status. */
enum err_code proto_tree_status(struct arena *arena, const char *bytes, size_t length,
                                const struct json_tree **ret_tree, struct err *reterr) MUST_USE;
