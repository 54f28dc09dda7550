#include "agent/admin/json_writer.h"

#include <inttypes.h>

#include "agent/kube/codec.h"
#include "base/text.h"

static void begin(struct json_writer *writer, const char *key)
{
    if (writer->after_value)
        strbuf_append_char(writer->text, ',');
    writer->after_value = true;
    if (key != NULL)
        strbuf_printf(writer->text, "\"%s\":", key);
}

void json_writer_open(struct json_writer *writer, const char *key, char bracket)
{
    begin(writer, key);
    strbuf_append_char(writer->text, bracket);
    writer->after_value = false;
}

void json_writer_close(struct json_writer *writer, char bracket)
{
    strbuf_append_char(writer->text, bracket);
    writer->after_value = true;
}

void json_writer_break(struct json_writer *writer)
{
    strbuf_append(writer->text, writer->after_value ? ",\n  " : "\n  ");
    writer->after_value = false;
}

void json_writer_text(struct json_writer *writer, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0') {
        json_writer_null(writer, key);
        return;
    }
    begin(writer, key);
    codec_write_string(writer->text, value);
}

void json_writer_number(struct json_writer *writer, const char *key, uint64_t value)
{
    begin(writer, key);
    strbuf_printf(writer->text, "%" PRIu64, value);
}

void json_writer_bool(struct json_writer *writer, const char *key, bool value)
{
    begin(writer, key);
    strbuf_append(writer->text, value ? "true" : "false");
}

void json_writer_null(struct json_writer *writer, const char *key)
{
    begin(writer, key);
    strbuf_append(writer->text, "null");
}

void json_writer_time(struct json_writer *writer, const char *key, int64_t us)
{
    char stamp[TEXT_TIME_BYTES] = "";
    if (us != 0)
        text_format_time_micro(us, stamp);
    json_writer_text(writer, key, stamp);
}

void json_writer_ms(struct json_writer *writer, const char *key, uint64_t us)
{
    if (us == 0) {
        json_writer_null(writer, key);
        return;
    }
    begin(writer, key);
    strbuf_printf(writer->text, "%" PRIu64 ".%03" PRIu64, us / 1000, us % 1000);
}
