/* Asks a status filter, without allocation and without a library. The format is in docs/status-filter.md, and
 * crates/wire/src/filter/check.rs is the same in Rust. The caller verifies the signature over the first
 * status_filter_parse() octets first, and refuses a filter with a lower crl_number than one seen before. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define STATUS_FILTER_HEADER_LEN 68
#define STATUS_FILTER_GROUP 128

struct status_filter {
    const uint8_t *authority_key_identifier; /* 20 octets */
    uint32_t count, exceptions;
    uint64_t crl_number, this_update, next_update, salt; /* times in seconds since 1970 */
    const uint8_t *marks, *directory, *remainders, *exception_list;
    size_t marks_len;
};

static uint64_t status_filter_be(const uint8_t *octets, int len) {
    uint64_t value = 0;
    while (len-- > 0)
        value = value << 8 | *octets++;
    return value;
}

/* Finds the parts. How many octets are signed; 0 if it is no filter. */
size_t status_filter_parse(struct status_filter *f, const uint8_t *octets, size_t len) {
    if (len < STATUS_FILTER_HEADER_LEN || memcmp(octets, "CRDLSF\0\1", 8) != 0)
        return 0;
    f->authority_key_identifier = octets + 8;
    f->count = (uint32_t)status_filter_be(octets + 28, 4);
    f->crl_number = status_filter_be(octets + 32, 8);
    f->this_update = status_filter_be(octets + 40, 8);
    f->next_update = status_filter_be(octets + 48, 8);
    f->salt = status_filter_be(octets + 56, 8);
    f->exceptions = (uint32_t)status_filter_be(octets + 64, 4);
    /* In 64 bits, so that nothing wraps around where size_t is short. */
    uint64_t marks = ((uint64_t)f->count + 3) / 4;
    uint64_t directory = ((uint64_t)f->count + STATUS_FILTER_GROUP - 1) / STATUS_FILTER_GROUP * 4;
    uint64_t signed_len = STATUS_FILTER_HEADER_LEN + marks + directory + (uint64_t)f->count * 2 + (uint64_t)f->exceptions * 8;
    if (signed_len > len)
        return 0;
    f->marks_len = (size_t)marks;
    f->marks = octets + STATUS_FILTER_HEADER_LEN;
    f->directory = f->marks + marks;
    f->remainders = f->directory + directory;
    f->exception_list = f->remainders + (size_t)f->count * 2;
    return (size_t)signed_len;
}

static uint64_t status_filter_mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t status_filter_hash(uint64_t salt, const uint8_t *serial, size_t len) {
    uint64_t state = status_filter_mix(salt);
    for (size_t at = 0; at < len; at += 8) {
        int some = len - at < 8 ? (int)(len - at) : 8;
        uint64_t word = status_filter_be(serial + at, some);
        state = status_filter_mix(state ^ word << 8 * (8 - some));
    }
    return status_filter_mix(state ^ (uint64_t)len);
}

static int status_filter_is_exception(const struct status_filter *f, uint64_t hash) {
    uint32_t from = 0, to = f->exceptions;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        uint64_t at = status_filter_be(f->exception_list + (size_t)middle * 8, 8);
        if (at == hash)
            return 1;
        if (at < hash)
            from = middle + 1;
        else
            to = middle;
    }
    return 0;
}

/* 1 if the serial number (big-endian, without leading zeros) is revoked, 0 if not. A filter that contradicts itself: 1. */
int status_filter_contains(const struct status_filter *f, const uint8_t *serial, size_t len) {
    if (f->count == 0)
        return 0;
    uint64_t hash = status_filter_hash(f->salt, serial, len);
    uint32_t bucket = (uint32_t)((hash >> 32) * f->count >> 32), group = bucket / STATUS_FILTER_GROUP;
    uint32_t ones = (uint32_t)status_filter_be(f->directory + (size_t)group * 4, 4), zeros = bucket % STATUS_FILTER_GROUP;
    uint64_t bit = (uint64_t)ones + (uint64_t)group * STATUS_FILTER_GROUP;
    int marked = 1;
    for (; bit / 8 < f->marks_len; bit++) {
        if (f->marks[bit / 8] & 0x80 >> bit % 8) {
            if (ones >= f->count || (zeros == 0 && status_filter_be(f->remainders + (size_t)ones * 2, 2) == (hash & 0xffff)))
                break;
            ones++;
        } else if (zeros-- == 0) {
            marked = 0;
            break;
        }
    }
    return marked && !status_filter_is_exception(f, hash);
}
