/* What RBAC gives an account, by the roles and bindings in a snapshot (check.h). Pure.
 * Rules: https://kubernetes.io/docs/reference/access-authn-authz/rbac/ */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/commands/check.h"

/** Whose rights are looked at. Borrowed from the snapshot. */
struct rights_holder {
    const json_t *source; /* facts, with `clusterRoles` and `clusterRoleBindings` */
    const char *namespace, *account;
};

/** A right, on objects of all names or (`name`) on one. */
struct right {
    const char *group, *resource, *name, *verb;
};

/** Whether one of a role's rules gives the right. */
bool rights_are_granted(const json_t *rules, const struct right *right);
/** Whether a binding names the account itself, not a group that it is in. */
bool rights_are_bound_to(const json_t *binding, const struct rights_holder *holder);
/** The rules of a binding's role; NULL when there is no such role. @param roles  facts of the binding's namespace. */
const json_t *rights_rules(const json_t *source, const json_t *roles, const json_t *binding);
/** Whether the account has the right in all namespaces. */
bool rights_are_given_everywhere(const struct rights_holder *holder, const struct right *right);
/** Whether it has it in one. @param roles  facts of that namespace. */
bool rights_are_given_in(const struct rights_holder *holder, const json_t *roles, const struct right *right);

/** Doubts each right of the account that nobody needs, of those bound to itself everywhere, in its namespace, and where copies of credentials are.
 *  @param installed  what `install` makes. */
void check_excess_rights(const struct rights_holder *holder, const json_t *installed, struct check_report *report);
