#include "agent/commands/remedy.h"

#include <stdio.h>
#include <string.h>

enum { REMEDY_BYTES = 256 };

/* For a pod with credentials of its own, which no person chose. */
static const char *describe_in_pod(enum err_code code)
{
    switch (code) {
    case ERR_RESOLVE:
    case ERR_CONNECT:
    case ERR_TIMEOUT:
        return "can this pod reach the API server?";
    case ERR_UNAUTHORIZED:
        return "the token of the pod's service account is refused: is the account still there?";
    case ERR_FORBIDDEN:
        return "have the pod's service account granted that right";
    default:
        return ""; /* the server's own words are all that there is */
    }
}

static void describe(enum err_code code, const char *context, char remedy[REMEDY_BYTES])
{
    remedy[0] = '\0';
    switch (code) {
    case ERR_RESOLVE:
    case ERR_CONNECT:
    case ERR_TIMEOUT:
        (void)snprintf(remedy, REMEDY_BYTES,
                       "can this machine reach that server, and is context %.80s the one that is meant?", context);
        break;
    case ERR_TLS:
        (void)snprintf(remedy, REMEDY_BYTES,
                       "the CA or the client certificate of context %.80s does not fit that server", context);
        break;
    case ERR_UNAUTHORIZED:
        (void)snprintf(remedy, REMEDY_BYTES, "the credentials of context %.80s are wrong or have ended: log in again",
                       context);
        break;
    case ERR_FORBIDDEN:
        (void)snprintf(remedy, REMEDY_BYTES, "have that right granted, or be another user (--as, or another context)");
        break;
    default:
        break;
    }
}

void remedy_add(struct err *reterr, const char *context)
{
    char remedy[REMEDY_BYTES], told[ERR_TEXT_BYTES];
    if (reterr == NULL)
        return;
    if (strcmp(context, "in-cluster") == 0)
        (void)snprintf(remedy, sizeof(remedy), "%s", describe_in_pod(reterr->code));
    else
        describe(reterr->code, context, remedy);
    (void)snprintf(told, sizeof(told), "%s", reterr->text);
    if (remedy[0] != '\0')
        (void)err_set(reterr, reterr->code, "%s; %s", told, remedy);
}
