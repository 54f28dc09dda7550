#include "agent/commands/remedy.h"

#include <stdio.h>
#include <string.h>

enum { REMEDY_BYTES = 256 };

static void describe(enum err_code code, const char *context, char remedy[REMEDY_BYTES])
{
    remedy[0] = '\0';
    switch (code) {
    case ERR_RESOLVE:
    case ERR_CONNECT:
    case ERR_TIMEOUT:
        if (strcmp(context, "in-cluster") == 0)
            (void)snprintf(remedy, REMEDY_BYTES, "can this pod reach the API server?");
        else
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
        break; /* the server's own words are all that there is */
    }
}

enum err_code remedy_add(struct err *reterr, const char *context)
{
    if (reterr == NULL)
        return ERR_OK;
    char remedy[REMEDY_BYTES], told[ERR_TEXT_BYTES];
    describe(reterr->code, context, remedy);
    if (remedy[0] == '\0')
        return reterr->code;
    (void)snprintf(told, sizeof(told), "%s", reterr->text);
    return err_set(reterr, reterr->code, "%s; %s", told, remedy);
}
