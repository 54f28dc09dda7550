#include "agent/commands/support_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"

enum { NAME_BYTES = 100, PREFIX_BYTES = 155, PATH_BYTES = 512, PIECE_BYTES = 1 << 20 };

struct support_archive {
    const char *root;
    int64_t at_s;
    char *path, *temporary;
    int descriptor; /* of the file, beside gzip's own */
    gzFile gzip;
    bool is_there; /* something was written, under its temporary name */
};

/* ---- the header of a file in a tar ---- */

struct header { /* POSIX.1-1988 ustar */
    char name[NAME_BYTES], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6],
        version[2], user[32], group[32], major[8], minor[8], prefix[PREFIX_BYTES], rest[12];
};
_Static_assert(sizeof(struct header) == TAR_BLOCK_BYTES, "a header is one block");

/* Copies without an end: a field may be full. */
static void fill(char *field, const char *text, size_t bytes) { memcpy(field, text, bytes); }

/* A long name is cut in two at a slash. */
static bool set_name(struct header *header, const char *name)
{
    size_t length = strlen(name);
    if (length <= NAME_BYTES) {
        fill(header->name, name, length);
        return true;
    }
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t head = (size_t)(slash - name), tail = length - head - 1;
        if (head > PREFIX_BYTES || tail > NAME_BYTES || tail == 0)
            continue;
        fill(header->prefix, name, head);
        fill(header->name, slash + 1, tail);
        return true;
    }
    return false;
}

static void set_number(char *field, size_t bytes, uint64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%0*" PRIo64, (int)bytes - 1, number);
    fill(field, text, bytes - 1);
}

bool support_archive_header(const char *name, size_t bytes, int64_t at_s, char block[TAR_BLOCK_BYTES])
{
    struct header header;
    unsigned sum = 0;
    memset(&header, 0, sizeof(header));
    if (!set_name(&header, name))
        return false;
    set_number(header.mode, sizeof(header.mode), 0600);
    set_number(header.uid, sizeof(header.uid), 0);
    set_number(header.gid, sizeof(header.gid), 0);
    set_number(header.size, sizeof(header.size), bytes);
    set_number(header.mtime, sizeof(header.mtime), at_s > 0 ? (uint64_t)at_s : 0);
    header.type = '0';
    fill(header.magic, "ustar", 6);
    fill(header.version, "00", 2);
    /* The sum counts its own field as spaces; it is six digits, a NUL and a space. */
    memset(header.checksum, ' ', sizeof(header.checksum));
    memcpy(block, &header, sizeof(header));
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        sum += (unsigned char)block[i];
    set_number(header.checksum, 7, sum);
    header.checksum[6] = '\0';
    memcpy(block, &header, sizeof(header));
    return true;
}

/* ---- the file ---- */

static enum err_code fail(const struct support_archive *archive, struct err *reterr)
{
    return err_set(reterr, ERR_IO, "%s: %s", archive->path, strerror(errno));
}

static enum err_code create_file(struct support_archive *archive, struct err *reterr)
{
    int own = -1;
    archive->descriptor = mkostemp(archive->temporary, O_CLOEXEC); /* rw for the user alone */
    if (archive->descriptor < 0)
        return fail(archive, reterr);
    archive->is_there = true;
    own = fcntl(archive->descriptor, F_DUPFD_CLOEXEC, 0); /* gzip closes its own */
    archive->gzip = own >= 0 ? gzdopen(own, "wb6") : NULL;
    if (archive->gzip != NULL)
        return ERR_OK;
    enum err_code code = own < 0 ? fail(archive, reterr) : err_set(reterr, ERR_NOMEM, "out of memory");
    if (own >= 0)
        (void)close(own);
    return code;
}

enum err_code support_archive_open(const char *path, const char *root, int64_t at_s,
                                   struct support_archive **ret_archive, struct err *reterr)
{
    struct support_archive *archive = NEW(struct support_archive);
    if (archive == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    archive->root = root;
    archive->at_s = at_s;
    archive->descriptor = -1;
    archive->path = mem_strdup(path);
    size_t bytes = strlen(path) + sizeof(".XXXXXX");
    archive->temporary = mem_alloc(bytes);
    if (archive->path == NULL || archive->temporary == NULL) {
        support_archive_free(archive);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    (void)snprintf(archive->temporary, bytes, "%s.XXXXXX", path);
    enum err_code code = create_file(archive, reterr);
    if (code != ERR_OK) {
        support_archive_free(archive);
        return code;
    }
    *ret_archive = archive;
    return ERR_OK;
}

static enum err_code put(struct support_archive *archive, const char *data, size_t bytes, struct err *reterr)
{
    while (bytes > 0) {
        unsigned piece = bytes < PIECE_BYTES ? (unsigned)bytes : PIECE_BYTES;
        if (gzwrite(archive->gzip, data, piece) != (int)piece) {
            int number = Z_OK;
            const char *text = gzerror(archive->gzip, &number);
            if (number == Z_ERRNO)
                return fail(archive, reterr);
            return err_set(reterr, ERR_IO, "%s: %s", archive->path, text);
        }
        data += piece;
        bytes -= piece;
    }
    return ERR_OK;
}

enum err_code support_archive_add(struct support_archive *archive, const char *name, const char *data, size_t bytes,
                                  struct err *reterr)
{
    static const char zeros[TAR_BLOCK_BYTES];
    char block[TAR_BLOCK_BYTES], path[PATH_BYTES];
    int length = snprintf(path, sizeof(path), "%s/%s", archive->root, name);
    if (length < 0 || (size_t)length >= sizeof(path) || !support_archive_header(path, bytes, archive->at_s, block))
        return err_set(reterr, ERR_LIMIT, "%.200s: the name is too long for an archive", name);
    TRY(put(archive, block, sizeof(block), reterr));
    TRY(put(archive, data, bytes, reterr));
    size_t over = bytes % TAR_BLOCK_BYTES;
    return over > 0 ? put(archive, zeros, TAR_BLOCK_BYTES - over, reterr) : ERR_OK;
}

enum err_code support_archive_finish(struct support_archive *archive, struct err *reterr)
{
    static const char end[2 * TAR_BLOCK_BYTES];
    TRY(put(archive, end, sizeof(end), reterr));
    if (gzclose(TAKE(archive->gzip)) != Z_OK || fsync(archive->descriptor) != 0 ||
        rename(archive->temporary, archive->path) != 0)
        return fail(archive, reterr);
    archive->is_there = false;
    return ERR_OK;
}

void support_archive_free(struct support_archive *archive)
{
    if (archive == NULL)
        return;
    if (archive->gzip != NULL)
        (void)gzclose(archive->gzip);
    if (archive->descriptor >= 0)
        (void)close(archive->descriptor);
    if (archive->is_there)
        (void)unlink(archive->temporary);
    mem_free(archive->path);
    mem_free(archive->temporary);
    mem_free(archive);
}
