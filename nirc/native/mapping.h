/* What the loops of nirc/mapping share: arguments, memory, random numbers. compiled.py calls them,
   and the definitions stand beside the callers, in Python, with the same bits. */
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

/* An argument: a number, or an array with the length of its first two axes and its itemsize. */
typedef struct {
    void *data;
    int64_t rows, columns, width, integer;
    double real;
} Argument;

enum { NO_MEMORY = -2147483648LL }; /* compiled.py raises MemoryError */

/* Memory of a call. All of it is freed by leave. */
typedef struct {
    void *piece[20];
    int count, failed;
} Room;

static inline void *take(Room *room, int64_t count, size_t width) {
    void *piece = calloc(count > 0 ? (size_t)count : 1, width);
    room->failed |= piece == NULL;
    room->piece[room->count++] = piece;
    return piece;
}

static inline int64_t leave(Room *room, int64_t result) {
    while (room->count) free(room->piece[--room->count]);
    return room->failed ? NO_MEMORY : result;
}

static inline uint64_t first_state(int64_t seed) {
    return (uint64_t)seed * 2654435761u + 88172645463325252u;
}

static inline uint64_t following(uint64_t state) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^ (state << 17);
}

static inline uint64_t following_linear(uint64_t state) {
    return state * 6364136223846793005u + 1442695040888963407u;
}

static inline int64_t below(uint64_t bits, int64_t n) {
    return (int64_t)((bits * (uint64_t)n) >> 32);
}

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* Sorts the numbers `order` by key, and equal keys stay in order. memory: as long as order. */
static inline void sort_stable(int64_t *order, int64_t *memory, const int64_t *key, int64_t n) {
    int64_t *from = order, *to = memory;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t begin = 0; begin < n; begin += 2 * width) {
            int64_t middle = least(begin + width, n), end = least(begin + 2 * width, n);
            int64_t a = begin, b = middle;
            for (int64_t k = begin; k < end; k++)
                to[k] = b >= end || (a < middle && key[from[a]] <= key[from[b]]) ? from[a++] : from[b++];
        }
        int64_t *other = from;
        from = to;
        to = other;
    }
    if (from != order) memcpy(order, from, (size_t)n * sizeof *order);
}
