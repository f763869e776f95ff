/* Rows of JSON Lines that hold nothing to look at twice, made into records without the interpreter.
 *
 * A row is either *common*, and its record's canonical line is made here from the row's own bytes,
 * or it is left to teapot/records.py, which knows every rule and words every fault. Whatever is in
 * doubt is left: a text in which a mark or a control token might begin, a number of many digits, a
 * key with an escape, bytes that are not UTF-8. So this file decides no row against anybody, and
 * what it lets through is, byte for byte, what records.py makes of the same row. A property test
 * compares the two; teapot/rowscan.py says what goes in and what comes out.
 *
 * Everything here works on bounds: `at` never passes `end`, and what is written has room for twice
 * what is read, which is more than any row can grow.
 */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned char byte;

#define DIGEST_BYTES 32
#define MAX_DEPTH 32
#define MAX_KEYS 48
#define MAX_LICENSES 64
#define MAX_DIGITS 18
#define MAX_BLOCK_BYTES (1u << 29) /* ids grow fourfold at most, and are counted in 32 bits */
#define SURE_WINDOW 26 /* a look-alike's "think" begins within so many bytes of what opens it */

enum state { LEFT = 0, COMMON = 1, SPOOLED = 2 };
enum thought { ALLOWED = 0, REQUIRED = 1, FORBIDDEN = 2, STRIPPED = 3 };

/* What of one row's making does not change within a source; the texts are the caller's. */
typedef struct {
    const byte *start;
    size_t size;
} span;

typedef struct {
    span messages, other, id, category, license, tools, system;
    span tail;          /* ,"module":"...","source":"..." */
    span source;        /* the source's id, as it stands in JSON */
    int has_default;    /* whether a row without a licence has that of its source */
    span default_text;  /* its canonical JSON text */
    unsigned default_code;
    int licenses;
    span names[MAX_LICENSES], texts[MAX_LICENSES]; /* as rows say it, and canonical JSON text */
    unsigned codes[MAX_LICENSES];
    long long max_characters;
    int thought;
    int keeps_outer_space; /* 0: a turn that might begin or end on white space is left */
} settings;

/* One row of the index; teapot/index.py has the same as a numpy type. */
#pragma pack(push, 1)
typedef struct {
    byte content[DIGEST_BYTES], record[DIGEST_BYTES];
    uint64_t offset, id_hash, row;
    uint32_t length, characters, tokens;
    uint16_t source, license;
    byte state;
} entry;

/* Where a record's line is found again, and the first half of its digest; see teapot/rowscan.py. */
#define CHECKED_BYTES 16
typedef struct {
    byte check[CHECKED_BYTES];
    uint64_t offset;
    uint32_t length;
    uint16_t source;
    byte state;
} place_of;
#pragma pack(pop)

typedef struct {
    byte *data;
    size_t size, room;
} buffer;

typedef struct {
    const settings *rules;
    EVP_MD_CTX *hasher;
    buffer turns, line;
    span id, category, license_text;
    unsigned license;
    uint64_t characters;
    int thinks, failed; /* `failed`: there was no memory, which is no row's fault */
    byte derived[256];
} maker;

static EVP_MD *sha256;

static int
reserve(buffer *into, size_t room)
{
    byte *grown;

    if (room <= into->room)
        return 1;
    if ((grown = realloc(into->data, room + room / 2)) == NULL)
        return 0;
    into->data = grown;
    into->room = room + room / 2;
    return 1;
}

static void
put(buffer *into, const void *data, size_t size)
{
    memcpy(into->data + into->size, data, size);
    into->size += size;
}

#define PUT(into, text) put(into, text, sizeof(text) - 1)

static int
equals(span one, span other)
{
    return one.size == other.size && memcmp(one.start, other.start, one.size) == 0;
}

static int
is_text(span one, const char *text)
{
    return one.size == strlen(text) && memcmp(one.start, text, one.size) == 0;
}

static const byte *
skip_space(const byte *at, const byte *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

/* Return the bytes of the UTF-8 character that begins here, 0 where none does (RFC 3629 §4). */
static int
utf8_length(const byte *at, const byte *end)
{
    byte first = at[0], second;
    int length = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
    int place;

    if (length == 0 || end - at < length)
        return 0;
    second = at[1];
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F)
        || (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F))
        return 0;
    for (place = 1; place < length; place++)
        if ((at[place] & 0xC0) != 0x80)
            return 0;
    return length;
}

#define EACH(value) ((uint64_t)(value) * 0x0101010101010101u)
#define HIGH_BITS EACH(0x80)

/* Tell whether eight bytes are all printable ASCII other than a quote and a backslash. */
static int
are_plain(const byte *at)
{
    uint64_t word, quotes, slashes;

    memcpy(&word, at, sizeof word);
    quotes = word ^ EACH('"');
    slashes = word ^ EACH('\\');
    return !((word | (word - EACH(0x20)) | (quotes - EACH(1)) | (slashes - EACH(1))) & HIGH_BITS);
}

static int
hex_digit(byte digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static long
hex_escape(const byte *at, const byte *end)
{
    long value = 0;
    int place, digit;

    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    for (place = 2; place < 6; place++) {
        if ((digit = hex_digit(at[place])) < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static void
put_character(buffer *into, long code)
{
    static const char digits[] = "0123456789abcdef";
    byte made[6];
    int size = 0;

    if (code == '"' || code == '\\') {
        made[size++] = '\\';
        made[size++] = (byte)code;
    } else if (code < 0x20) {
        static const char letters[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                           ['\r'] = 'r'};

        made[size++] = '\\';
        if (letters[code]) {
            made[size++] = letters[code];
        } else {
            memcpy(made + size, "u00", 3);
            made[4] = digits[code >> 4];
            made[5] = digits[code & 15];
            size = 6;
        }
    } else if (code < 0x80) {
        made[size++] = (byte)code;
    } else if (code < 0x800) {
        made[size++] = 0xC0 | (byte)(code >> 6);
        made[size++] = 0x80 | (code & 0x3F);
    } else if (code < 0x10000) {
        made[size++] = 0xE0 | (byte)(code >> 12);
        made[size++] = 0x80 | ((code >> 6) & 0x3F);
        made[size++] = 0x80 | (code & 0x3F);
    } else {
        made[size++] = 0xF0 | (byte)(code >> 18);
        made[size++] = 0x80 | ((code >> 12) & 0x3F);
        made[size++] = 0x80 | ((code >> 6) & 0x3F);
        made[size++] = 0x80 | (code & 0x3F);
    }
    put(into, made, size);
}

/* Write the character that an escape stands for in its canonical form; return where it ends. */
static const byte *
put_escape(const byte *at, const byte *end, buffer *into)
{
    static const char meanings[0x80] = {['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b',
                                        ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};
    long code, low;

    if (end - at < 2)
        return NULL;
    if (at[1] != 'u') {
        if (at[1] >= 0x80 || !meanings[at[1]])
            return NULL;
        put_character(into, meanings[at[1]]);
        return at + 2;
    }
    if ((code = hex_escape(at, end)) < 0 || (code >= 0xDC00 && code < 0xE000))
        return NULL;
    at += 6;
    if (code >= 0xD800 && code < 0xDC00) {
        low = hex_escape(at, end);
        if (low < 0xDC00 || low >= 0xE000)
            return NULL;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        at += 6;
    }
    put_character(into, code);
    return at;
}

/* Write a string's canonical text, without quotes, and count its characters.
 *
 * `at` stands behind the opening quote. Return the place behind the closing one, NULL if in doubt.
 */
static const byte *
put_string(const byte *at, const byte *end, buffer *into, uint64_t *characters)
{
    const byte *start = at;
    uint64_t more = 0; /* bytes that are no characters of their own, or the other way round */

    for (;;) {
        const byte *from = at;

        while (end - at >= 8 && are_plain(at))
            at += 8;
        while (at < end && *at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\')
            at++;
        *characters += at - from;
        while (at < end && *at >= 0x80) {
            int length = utf8_length(at, end);

            if (length == 0)
                return NULL;
            at += length;
            more++;
        }
        if (at == end || *at < 0x20)
            return NULL;
        if (*at != '"' && *at != '\\')
            continue;
        put(into, start, at - start);
        if (*at == '"') {
            *characters += more;
            return at + 1;
        }
        if ((at = start = put_escape(at, end, into)) == NULL)
            return NULL;
        more++;
    }
}

/* Return the place behind a string, and the string as it stands there; no escape, else NULL. */
static const byte *
plain_string(const byte *at, const byte *end, span *found)
{
    const byte *start = at;

    while (at < end && *at != '"') {
        int length = *at < 0x80 ? 1 : utf8_length(at, end);

        if (*at < 0x20 || *at == '\\' || length == 0)
            return NULL;
        at += length;
    }
    if (at == end)
        return NULL;
    found->start = start;
    found->size = at - start;
    return at + 1;
}

static const byte *
skip_string(const byte *at, const byte *end)
{
    byte room[8];
    buffer nowhere = {room, 0, sizeof room};

    for (;;) {
        while (end - at >= 8 && are_plain(at))
            at += 8;
        if (at == end || *at < 0x20)
            return NULL;
        if (*at == '"')
            return at + 1;
        if (*at == '\\') {
            nowhere.size = 0;
            if ((at = put_escape(at, end, &nowhere)) == NULL)
                return NULL;
        } else {
            int length = *at < 0x80 ? 1 : utf8_length(at, end);

            if (length == 0)
                return NULL;
            at += length;
        }
    }
}

/* Skip a number that any reader keeps: few digits, no exponent. */
static const byte *
skip_number(const byte *at, const byte *end)
{
    const byte *start;

    if (at < end && *at == '-')
        at++;
    start = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    if (at == start || at - start > MAX_DIGITS || (*start == '0' && at - start > 1))
        return NULL;
    if (at < end && *at == '.') {
        start = ++at;
        while (at < end && *at >= '0' && *at <= '9')
            at++;
        if (at == start || at - start > MAX_DIGITS)
            return NULL;
    }
    return at < end && (*at == 'e' || *at == 'E') ? NULL : at;
}

static const byte *
skip_word(const byte *at, const byte *end, const char *word)
{
    size_t size = strlen(word);

    return (size_t)(end - at) >= size && memcmp(at, word, size) == 0 ? at + size : NULL;
}

/* Return the place of a member's value, and its key; `keys` holds those of the object so far. */
static const byte *
next_key(const byte *at, const byte *end, span *keys, int *count)
{
    span key;
    int place;

    if (at == end || *at != '"' || (at = plain_string(at + 1, end, &key)) == NULL)
        return NULL;
    if (*count == MAX_KEYS)
        return NULL;
    for (place = 0; place < *count; place++)
        if (equals(keys[place], key))
            return NULL;
    keys[(*count)++] = key;
    at = skip_space(at, end);
    return at < end && *at == ':' ? skip_space(at + 1, end) : NULL;
}

/* Return the place behind a comma or the closing bracket, which `*more` tells apart. */
static const byte *
next_item(const byte *at, const byte *end, byte closing, int *more)
{
    at = skip_space(at, end);
    if (at == end || (*at != ',' && *at != closing))
        return NULL;
    *more = *at == ',';
    return *more ? skip_space(at + 1, end) : at + 1;
}

static const byte *
skip_value(const byte *at, const byte *end, int depth)
{
    span keys[MAX_KEYS];
    int count = 0, more = 1;
    byte closing;

    if (at == end || depth > MAX_DEPTH)
        return NULL;
    switch (*at) {
    case '"': return skip_string(at + 1, end);
    case 't': return skip_word(at, end, "true");
    case 'f': return skip_word(at, end, "false");
    case 'n': return skip_word(at, end, "null");
    case '{': closing = '}'; break;
    case '[': closing = ']'; break;
    default: return skip_number(at, end);
    }
    at = skip_space(at + 1, end);
    if (at < end && *at == closing)
        return at + 1;
    while (more) {
        if (closing == '}' && (at = next_key(at, end, keys, &count)) == NULL)
            return NULL;
        if ((at = skip_value(at, end, depth + 1)) == NULL
            || (at = next_item(at, end, closing, &more)) == NULL)
            return NULL;
    }
    return at;
}

static byte
lower(byte letter)
{
    return letter >= 'A' && letter <= 'Z' ? letter | 0x20 : letter;
}

static int
begins(const byte *at, const byte *end, const char *word)
{
    for (; *word; word++, at++)
        if (at == end || lower(*at) != (byte)*word)
            return 0;
    return 1;
}

static int
begins_exactly(const byte *at, const byte *end, const char *word)
{
    return skip_word(at, end, word) != NULL;
}

/* Skip white space, escaped white space and slashes. */
static const byte *
skip_to_name(const byte *at, const byte *end)
{
    while (at < end) {
        if (*at == ' ' || *at == '/')
            at++;
        else if (*at == '\\' && end - at >= 6 && at[1] == 'u')
            at += 6;
        else if (*at == '\\' && end - at >= 2 && at[1] != '"' && at[1] != '\\')
            at += 2;
        else
            break;
    }
    return at;
}

/* Tell whether a mark, a look-alike or a control token might begin with the `<` before `at`. */
static int
opens_after_angle(const byte *at, const byte *end)
{
    static const char *tokens[] = {"s>", "pad>", "unk>", "bos>", "eos>", "mask>", "start_of_",
                                   "end_of_", "special_", "sys>"};
    static const char *names[] = {"thou", "reas", "refl", "scra"};
    size_t place;
    const byte *stop;

    if (at == end)
        return 0;
    if (*at == '|' || *at >= 0x80)
        return 1;
    at = skip_to_name(at, end);
    for (place = 0; place < sizeof tokens / sizeof *tokens; place++)
        if (begins(at, end, tokens[place]))
            return 1;
    for (place = 0; place < sizeof names / sizeof *names; place++)
        if (begins(at, end, names[place]))
            return 1;
    for (stop = at; at < end && at - stop < SURE_WINDOW; at++) {
        if (*at == '<' || *at == '>' || *at == '\\')
            return 0;
        if (*at >= 0x80 || begins(at, end, "think"))
            return 1;
    }
    return 0;
}

/* Tell whether a look-alike or a control token might begin with the `[` before `at`. */
static int
opens_after_bracket(const byte *at, const byte *end)
{
    static const char *tokens[] = {"INST", "SYSTEM_", "AVAILABLE_", "TOOL_"};
    size_t place;

    if (at < end && *at == '/')
        at++;
    for (place = 0; place < sizeof tokens / sizeof *tokens; place++)
        if (begins_exactly(at, end, tokens[place]))
            return 1;
    return end - at >= 3 && begins(at, end, "th") && (lower(at[2]) == 'i' || at[2] >= 0x80);
}

/* Tell that no mark, look-alike or control token is in a canonical text. */
static int
is_quiet(const byte *start, const byte *end)
{
    const byte *at;

    for (at = start; (at = memchr(at, '<', end - at)) != NULL; at++)
        if (opens_after_angle(at + 1, end))
            return 0;
    for (at = start; (at = memchr(at, '[', end - at)) != NULL; at++)
        if (opens_after_bracket(at + 1, end))
            return 0;
    for (at = start; (at = memchr(at, 0xE2, end - at)) != NULL; at++)
        if (end - at >= 3 && at[1] == 0x97 && at[2] == 0x81) /* ◁ */
            return 0;
    for (at = start; (at = memchr(at, 0xEF, end - at)) != NULL; at++)
        if (end - at >= 3 && at[1] == 0xBC && at[2] == 0x9C) /* ＜ */
            return 0;
    return 1;
}

/* Tell whether a character, by its first byte in canonical text, might be white space. */
static int
may_be_space(byte first)
{
    return first == ' ' || first == '\\' || first == 0xC2 || (first >= 0xE1 && first <= 0xE3);
}

/* Tell that a canonical text holds something other than white space. */
static int
says_something(const byte *at, const byte *end)
{
    while (at < end) {
        if (*at < 0x80 ? *at > ' ' && *at != '\\' : !may_be_space(*at))
            return 1;
        at += *at < 0x80 ? (*at == '\\' ? (at[1] == 'u' ? 6 : 2) : 1) : utf8_length(at, end);
    }
    return 0;
}

static int
has_outer_space(const byte *start, const byte *end)
{
    const byte *last = end - 1;

    while (last > start && (*last & 0xC0) == 0x80)
        last--;
    if (last > start && last[-1] == '\\')
        return 1;
    return may_be_space(*start) || may_be_space(*last) || (end - start >= 6 && end[-6] == '\\');
}

/* Tell that a turn's canonical content passes every check; note whether it opens with a thought. */
static int
is_sound(maker *row, int is_assistant, const byte *start, const byte *end)
{
    static const char opening[] = "<think>", closing[] = "</think>";
    const byte *at = start, *close;

    if (start == end || (!row->rules->keeps_outer_space && has_outer_space(start, end)))
        return 0;
    if (is_assistant && begins_exactly(start, end, opening)) {
        at += sizeof opening - 1;
        for (close = at; (close = memchr(close, '<', end - close)) != NULL; close++)
            if (begins_exactly(close, end, closing))
                break;
        if (close == NULL || !says_something(at, close) || !is_quiet(at, close))
            return 0;
        at = close + sizeof closing - 1;
        row->thinks = 1;
    }
    return says_something(at, end) && is_quiet(at, end);
}

/* Read one turn of two texts, and write it in canonical form. `style` is 0, then 'r' or 'f'. */
static const byte *
put_turn(maker *row, const byte *at, const byte *end, byte *style, span *role)
{
    span keys[2];
    int count = 0, more = 1, has_role = 0;
    size_t content = 0, stop = 0;
    buffer *turns = &row->turns;

    if (at == end || *at != '{')
        return NULL;
    at = skip_space(at + 1, end);
    while (more) {
        byte kind;

        if (count == 2 || (at = next_key(at, end, keys, &count)) == NULL || at == end
            || *at != '"')
            return NULL;
        at++;
        kind = is_text(keys[count - 1], "role") || is_text(keys[count - 1], "content") ? 'r' : 'f';
        if (*style && *style != kind)
            return NULL;
        *style = kind;
        if (is_text(keys[count - 1], kind == 'r' ? "role" : "from")) {
            has_role = 1;
            at = plain_string(at, end, role);
        } else if (is_text(keys[count - 1], kind == 'r' ? "content" : "value")) {
            PUT(turns, "{\"content\":\"");
            content = turns->size;
            at = put_string(at, end, turns, &row->characters);
            stop = turns->size;
        } else {
            return NULL;
        }
        if (at == NULL || (at = next_item(at, end, '}', &more)) == NULL)
            return NULL;
    }
    if (!has_role || content == 0)
        return NULL;
    if (*style == 'f') {
        if (is_text(*role, "human"))
            *role = (span){(const byte *)"user", 4};
        else if (is_text(*role, "gpt"))
            *role = (span){(const byte *)"assistant", 9};
    }
    PUT(turns, "\",\"role\":\"");
    put(turns, role->start, role->size);
    PUT(turns, "\"}");
    return is_sound(row, is_text(*role, "assistant"), turns->data + content, turns->data + stop)
        ? at : NULL;
}

/* Read the turns: perhaps a system's, then user and assistant in turn, the assistant last. */
static const byte *
put_turns(maker *row, const byte *at, const byte *end)
{
    int more = 1, count = 0, answers = 0; /* `answers`: it is the assistant's turn */
    byte style = 0;
    span role = {NULL, 0};

    row->turns.size = 0;
    row->characters = 0;
    row->thinks = 0;
    if (at == end || *at != '[')
        return NULL;
    if (!reserve(&row->turns, 2 * (size_t)(end - at) + 64)) {
        row->failed = 1;
        return NULL;
    }
    PUT(&row->turns, "[");
    at = skip_space(at + 1, end);
    for (; more; count++) {
        if (count)
            PUT(&row->turns, ",");
        if ((at = put_turn(row, at, end, &style, &role)) == NULL
            || (at = next_item(at, end, ']', &more)) == NULL)
            return NULL;
        if (is_text(role, answers ? "assistant" : "user"))
            answers = !answers;
        else if (count || !is_text(role, "system"))
            return NULL;
    }
    PUT(&row->turns, "]");
    return is_text(role, "assistant") ? at : NULL;
}

/* Read a name that may be missing, null or empty. */
static const byte *
optional_name(const byte *at, const byte *end, span *found)
{
    if (at < end && *at == '"')
        return plain_string(at + 1, end, found);
    return skip_word(at, end, "null");
}

/* Read an id: a text, or a whole number, which is written as one. */
static const byte *
read_id(const byte *at, const byte *end, span *found)
{
    const byte *stop;

    if (at == end || *at < '0' || *at > '9')
        return optional_name(at, end, found);
    if ((stop = skip_number(at, end)) == NULL || memchr(at, '.', stop - at) != NULL)
        return NULL;
    found->start = at;
    found->size = stop - at;
    return stop;
}

static int
judge(maker *row, span said)
{
    const settings *rules = row->rules;
    int place;

    if (said.start == NULL) {
        row->license_text = rules->default_text;
        row->license = rules->default_code;
        return rules->has_default;
    }
    for (place = 0; place < rules->licenses; place++)
        if (equals(rules->names[place], said)) {
            row->license_text = rules->texts[place];
            row->license = rules->codes[place];
            return 1;
        }
    return 0;
}

/* Read all members of a row; return whether it is common so far. */
static int
read_members(maker *row, const byte *at, const byte *end)
{
    const settings *rules = row->rules;
    span keys[MAX_KEYS], license = {NULL, 0};
    int count = 0, more = 1, has_turns = 0;

    row->id = row->category = license;
    at = skip_space(at, end);
    if (at == end || *at != '{')
        return 0;
    at = skip_space(at + 1, end);
    while (more) {
        span key;

        if ((at = next_key(at, end, keys, &count)) == NULL)
            return 0;
        key = keys[count - 1];
        if (equals(key, rules->messages) || equals(key, rules->other)) {
            if (has_turns++)
                return 0;
            at = put_turns(row, at, end);
        } else if (equals(key, rules->id)) {
            at = read_id(at, end, &row->id);
        } else if (equals(key, rules->category)) {
            at = optional_name(at, end, &row->category);
        } else if (equals(key, rules->license)) {
            at = optional_name(at, end, &license);
        } else if (equals(key, rules->tools) || equals(key, rules->system)) {
            at = skip_word(at, end, "null");
        } else {
            at = skip_value(at, end, 0);
        }
        if (at == NULL || (at = next_item(at, end, '}', &more)) == NULL)
            return 0;
    }
    return has_turns && skip_space(at, end) == end && judge(row, license);
}

static int
digest_of(maker *row, const span *parts, int count, byte *digest)
{
    int place;

    if (!EVP_DigestInit_ex(row->hasher, NULL, NULL))
        return 0;
    for (place = 0; place < count; place++)
        if (!EVP_DigestUpdate(row->hasher, parts[place].start, parts[place].size))
            return 0;
    return EVP_DigestFinal_ex(row->hasher, digest, NULL);
}

static span
content_part(const char *text)
{
    return (span){(const byte *)text, strlen(text)};
}

/* Name a row without an id by its source and the first 16 hex digits of its content digest. */
static void
derive_id(maker *row, const byte *digest)
{
    static const char digits[] = "0123456789abcdef";
    size_t size = row->rules->source.size;
    int place;

    memcpy(row->derived, row->rules->source.start, size);
    row->derived[size++] = '-';
    for (place = 0; place < 8; place++) {
        row->derived[size++] = digits[digest[place] >> 4];
        row->derived[size++] = digits[digest[place] & 15];
    }
    row->id = (span){row->derived, size};
}

static int
put_line(maker *row)
{
    buffer *line = &row->line;
    size_t room = row->turns.size + row->id.size + row->category.size + row->license_text.size
        + row->rules->tail.size + 96;

    line->size = 0;
    if (!reserve(line, room))
        return 0;
    PUT(line, "{");
    if (row->category.size) {
        PUT(line, "\"category\":\"");
        put(line, row->category.start, row->category.size);
        PUT(line, "\",");
    }
    PUT(line, "\"id\":\"");
    put(line, row->id.start, row->id.size);
    PUT(line, "\",\"license\":");
    put(line, row->license_text.start, row->license_text.size);
    PUT(line, ",\"messages\":");
    put(line, row->turns.data, row->turns.size);
    put(line, row->rules->tail.start, row->rules->tail.size);
    PUT(line, "}\n");
    return 1;
}

/* Make a row's line, with its LF, in `row->line`: 1 where it is common, 0 where not, -1 failed. */
static int
make_line(maker *row, const byte *at, const byte *end, entry *made)
{
    const settings *rules = row->rules;
    span content[3];

    if (!read_members(row, at, end))
        return row->failed ? -1 : 0;
    if ((rules->max_characters >= 0 && row->characters > (uint64_t)rules->max_characters)
        || row->characters > UINT32_MAX
        || (rules->thought == REQUIRED && !row->thinks)
        || (rules->thought >= FORBIDDEN && row->thinks))
        return 0;
    content[0] = content_part("{\"messages\":");
    content[1] = (span){row->turns.data, row->turns.size};
    content[2] = content_part("}");
    if (made != NULL || row->id.size == 0) {
        byte digest[DIGEST_BYTES];

        if (!digest_of(row, content, 3, digest))
            return -1;
        if (row->id.size == 0)
            derive_id(row, digest);
        if (made != NULL)
            memcpy(made->content, digest, DIGEST_BYTES);
    }
    return put_line(row) ? 1 : -1;
}

static int
hash_line(maker *row, byte *digest)
{
    span line = {row->line.data, row->line.size - 1};

    return digest_of(row, &line, 1, digest);
}

static uint64_t
hash64(span text)
{
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a, then mixed so that low bits depend on all */
    size_t place;

    for (place = 0; place < text.size; place++)
        hash = (hash ^ text.start[place]) * 0x100000001B3u;
    hash ^= hash >> 32;
    return hash * 0x9E3779B97F4A7C15u;
}

static int
begin(maker *row, const settings *rules)
{
    memset(row, 0, sizeof *row);
    row->rules = rules;
    row->hasher = EVP_MD_CTX_new();
    return row->hasher != NULL && EVP_DigestInit_ex(row->hasher, sha256, NULL);
}

static void
end_of(maker *row)
{
    EVP_MD_CTX_free(row->hasher);
    free(row->turns.data);
    free(row->line.data);
}

static int
append(buffer *into, const void *data, size_t size)
{
    if (!reserve(into, into->size + size))
        return 0;
    put(into, data, size);
    return 1;
}

typedef struct {
    buffer entries, ids, bounds, lines;
} found;

/* Look at each line of a block, from `at` on; the last line need not end. Return whether it could.
 */
static int
scan(maker *row, const byte *at, const byte *end, int keeps_lines, found *out)
{
    const byte *start = at;

    while (at < end) {
        const byte *stop = memchr(at, '\n', end - at);
        entry made;
        int is_common;
        uint32_t bound;

        if (stop == NULL)
            stop = end;
        memset(&made, 0, sizeof made);
        made.offset = at - start;
        made.length = stop - at;
        if ((is_common = make_line(row, at, stop, &made)) < 0)
            return 0;
        if (is_common) {
            made.characters = row->characters;
            made.license = row->license;
            made.id_hash = hash64(row->id);
            made.state = COMMON;
            if (!hash_line(row, made.record) || !append(&out->ids, row->id.start, row->id.size))
                return 0;
            if (keeps_lines) {
                made.state = SPOOLED;
                made.offset = out->lines.size;
                made.length = row->line.size - 1;
                if (!append(&out->lines, row->line.data, row->line.size))
                    return 0;
            }
        }
        bound = out->ids.size;
        if (!append(&out->entries, &made, sizeof made)
            || !append(&out->bounds, &bound, sizeof bound))
            return 0;
        at = stop < end ? stop + 1 : end;
    }
    return 1;
}

static int
read_fully(int file, byte *into, size_t size, uint64_t offset)
{
    while (size) {
        ssize_t got = pread(file, into, size, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        into += got;
        size -= got;
        offset += got;
    }
    return 1;
}

typedef struct {
    int file, spool;   /* where rows lie, and where the lines lie that are not made from rows */
    int has_settings;
    settings rules;
} origin;

enum outcome { DONE, NO_MEMORY, CHANGED };

/* Read the line of a record that lies in the spool. */
static enum outcome
read_line(maker *row, const place_of *made, int spool)
{
    if (!reserve(&row->line, made->length + (size_t)1))
        return NO_MEMORY;
    row->line.size = made->length + (size_t)1;
    row->line.data[made->length] = '\n';
    return read_fully(spool, row->line.data, made->length, made->offset) ? DONE : CHANGED;
}

/* Make the line of a common row again from the file that holds it. */
static enum outcome
remake_line(maker *row, const place_of *made, const origin *from, buffer *raw)
{
    int is_common;

    if (!reserve(raw, made->length + (size_t)1))
        return NO_MEMORY;
    if (!from->has_settings || !read_fully(from->file, raw->data, made->length, made->offset))
        return CHANGED;
    row->rules = &from->rules;
    is_common = make_line(row, raw->data, raw->data + made->length, NULL);
    return is_common < 0 ? NO_MEMORY : is_common ? DONE : CHANGED;
}

/* Append the line of one record, if it has the digest that it had, and that digest. */
static enum outcome
gather_one(maker *row, const place_of *made, const origin *from, buffer *raw, buffer *lines,
           buffer *digests)
{
    byte digest[DIGEST_BYTES];
    enum outcome done = made->state == SPOOLED ? read_line(row, made, from->spool)
                                               : remake_line(row, made, from, raw);

    if (done != DONE)
        return done;
    if (!hash_line(row, digest))
        return NO_MEMORY;
    if (memcmp(digest, made->check, CHECKED_BYTES) != 0)
        return CHANGED;
    return append(lines, row->line.data, row->line.size) && append(digests, digest, DIGEST_BYTES)
        ? DONE : NO_MEMORY;
}

/* Write the lines that are found at some places, one after another, and their digests.
 *
 * Return how many were written; where it is not all, `*done` says why.
 */
static size_t
gather(const place_of *places, size_t count, const origin *origins, size_t known, buffer *lines,
       buffer *digests, enum outcome *done)
{
    maker row;
    buffer raw = {NULL, 0, 0};
    size_t at, room = 0;

    for (at = 0; at < count; at++)
        room += places[at].length;
    *done = begin(&row, NULL) && reserve(lines, room) ? DONE : NO_MEMORY;
    at = 0;
    while (at < count && *done == DONE) {
        const place_of *made = &places[at];

        if (made->source >= known || made->state == LEFT)
            *done = CHANGED;
        else
            *done = gather_one(&row, made, &origins[made->source], &raw, lines, digests);
        at += *done == DONE;
    }
    free(raw.data);
    end_of(&row);
    return at;
}

/* From here on: Python's values to C's and back. */

static int
span_of(PyObject *value, span *into)
{
    char *text;
    Py_ssize_t size;

    into->start = NULL;
    into->size = 0;
    if (value == Py_None)
        return 1;
    if (PyBytes_AsStringAndSize(value, &text, &size) < 0)
        return 0;
    into->start = (const byte *)text;
    into->size = size;
    return 1;
}

static int
license_of(PyObject *item, settings *into)
{
    PyObject *name, *text;
    int place = into->licenses;

    if (place == MAX_LICENSES || !PyArg_ParseTuple(item, "OOI", &name, &text, &into->codes[place])) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "too many licences");
        return 0;
    }
    if (!span_of(name, &into->names[place]) || !span_of(text, &into->texts[place]))
        return 0;
    if (into->names[place].start == NULL) {
        into->has_default = 1;
        into->default_text = into->texts[place];
        into->default_code = into->codes[place];
    } else {
        into->licenses++;
    }
    return 1;
}

/* Read the settings that rowscan.py makes; they point into its bytes, which must stay alive. */
static int
settings_of(PyObject *value, settings *into)
{
    PyObject *names[9], *licenses;
    span *spans[9] = {&into->messages, &into->other, &into->id, &into->category, &into->license,
                      &into->tools, &into->system, &into->tail, &into->source};
    Py_ssize_t place;

    memset(into, 0, sizeof *into);
    if (!PyArg_ParseTuple(value, "OOOOOOOOOO!Lii", &names[0], &names[1], &names[2], &names[3],
                          &names[4], &names[5], &names[6], &names[7], &names[8], &PyTuple_Type,
                          &licenses, &into->max_characters, &into->thought,
                          &into->keeps_outer_space))
        return 0;
    for (place = 0; place < 9; place++)
        if (!span_of(names[place], spans[place]))
            return 0;
    if (into->source.size + 17 > sizeof ((maker *)0)->derived) {
        PyErr_SetString(PyExc_ValueError, "the source's id is too long");
        return 0;
    }
    for (place = 0; place < PyTuple_Size(licenses); place++)
        if (!license_of(PyTuple_GetItem(licenses, place), into))
            return 0;
    return 1;
}

static PyObject *
bytes_of(const buffer *made)
{
    return PyBytes_FromStringAndSize((const char *)made->data, made->size);
}

static PyObject *
scan_block(PyObject *module, PyObject *arguments)
{
    PyObject *rules, *result = NULL;
    Py_buffer view;
    settings given;
    maker row;
    found out;
    int keeps_lines, done = 0;

    if (!PyArg_ParseTuple(arguments, "y*O!p", &view, &PyTuple_Type, &rules, &keeps_lines))
        return NULL;
    memset(&out, 0, sizeof out);
    if (view.len > (Py_ssize_t)MAX_BLOCK_BYTES)
        PyErr_SetString(PyExc_ValueError, "the block is too large");
    else if (settings_of(rules, &given)) {
        Py_BEGIN_ALLOW_THREADS
        done = begin(&row, &given)
            && scan(&row, view.buf, (const byte *)view.buf + view.len, keeps_lines, &out);
        end_of(&row);
        Py_END_ALLOW_THREADS
        if (done)
            result = Py_BuildValue("NNNN", bytes_of(&out.entries), bytes_of(&out.ids),
                                   bytes_of(&out.bounds), bytes_of(&out.lines));
        else
            PyErr_NoMemory();
    }
    free(out.entries.data);
    free(out.ids.data);
    free(out.bounds.data);
    free(out.lines.data);
    PyBuffer_Release(&view);
    return result;
}

static origin *
origins_of(PyObject *given)
{
    Py_ssize_t place, count = PyTuple_Size(given);
    origin *made = calloc(count ? count : 1, sizeof *made);

    if (made == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (place = 0; place < count; place++) {
        PyObject *rules;

        if (!PyArg_ParseTuple(PyTuple_GetItem(given, place), "iiO", &made[place].file,
                              &made[place].spool, &rules)
            || (rules != Py_None && !settings_of(rules, &made[place].rules))) {
            free(made);
            return NULL;
        }
        made[place].has_settings = rules != Py_None;
    }
    return made;
}

static PyObject *
gather_lines(PyObject *module, PyObject *arguments)
{
    PyObject *given, *result = NULL;
    Py_buffer view;
    origin *origins;
    buffer lines = {NULL, 0, 0}, digests = {NULL, 0, 0};
    enum outcome done;

    if (!PyArg_ParseTuple(arguments, "y*O!", &view, &PyTuple_Type, &given))
        return NULL;
    if ((origins = origins_of(given)) != NULL) {
        size_t known = PyTuple_Size(given), written;

        Py_BEGIN_ALLOW_THREADS
        written = gather(view.buf, view.len / sizeof(place_of), origins, known, &lines, &digests,
                         &done);
        Py_END_ALLOW_THREADS
        if (done == NO_MEMORY)
            PyErr_NoMemory();
        else
            result = Py_BuildValue("NNn", bytes_of(&lines), bytes_of(&digests),
                                   (Py_ssize_t)written);
    }
    free(origins);
    free(lines.data);
    free(digests.data);
    PyBuffer_Release(&view);
    return result;
}

static PyMethodDef methods[] = {
    {"scan_block", scan_block, METH_VARARGS, NULL},
    {"gather_lines", gather_lines, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_rows", NULL, -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__rows(void)
{
    PyObject *module;

    if (sha256 == NULL)
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (sha256 == NULL) {
        PyErr_SetString(PyExc_ImportError, "OpenSSL has no SHA-256 here");
        return NULL;
    }
    module = PyModule_Create(&definition);
    if (module != NULL
        && (PyModule_AddIntConstant(module, "ENTRY_BYTES", sizeof(entry)) < 0
            || PyModule_AddIntConstant(module, "PLACE_BYTES", sizeof(place_of)) < 0)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
