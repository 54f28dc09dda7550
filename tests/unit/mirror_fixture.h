/* Objects from words and words from objects, so that a test of mirror/ fits a screen and asserts whole objects.
 *
 *   Service         "shop/web v=7 p=http:80>8080 p=dns:53>dns/UDP+kubernetes.io/x #app=web @~gateway-name=gw lb=203.0.113.7"
 *   EndpointSlice   "shop/web-abc v=3 svc=web 10.0.0.1 !10.0.0.2 p=http:8080"
 *   Namespace       "/shop v=1 terminating"
 *
 * First the key; then, in any order: `v=` resourceVersion, `uid=`, `owner=` uid of the owner, `#label=value`,
 * `@annotation=value` (a key that begins with ~ stands for mirror.linkerd.io/), `p=name:port>target/PROTOCOL*nodePort+app`,
 * `lb=` a load balancer's address or host name, `svc=` and `managed=` the two labels of slices, `type=` of addresses;
 * single words `headless external nodeport loadbalancer selector nodelocal publishing deleting ours`; in slices an address or
 * hostname@address, with ! when it is not ready, or ~ when it serves still and terminates; and %zone behind.
 * A % stands for a space. ServiceImports are told as Services, with ` ip= clusters=`. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "mirror/object.h"

/** In the arena; a word that does not parse fails the test. */
struct service *service_of(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
struct slice *slice_of(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
struct namespace_object *namespace_of(struct arena *arena, const char *words);

/** Every field that is not the API server's own business (versions and uids are left out; the owner's uid is told as
 *  `owned` when it is `owner_uid`, else as owner=uid). `brief`: without labels and annotations. */
const char *service_words(struct arena *arena, const struct service *service, bool brief);
const char *slice_words(struct arena *arena, const struct slice *slice, const char *owner_uid, bool brief);

/** Labels or annotations as words, in order. */
struct kv_list kv_of(struct arena *arena, const char *words);
const char *kv_words(struct arena *arena, const struct kv_list *list);
