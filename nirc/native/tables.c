/* Routing tables: see nirc/mapping/tables, __init__.py, keys.py and walk.py. */
#include <math.h>

#include "mapping.h"

enum { SWEEPS = 10, HALVES = 40 };
static const double SLACK = 0.04;

static void set(uint64_t *row, int64_t bit) { row[bit >> 6] |= (uint64_t)1 << (bit & 63); }

/* source, first, target, bit, tree_first, link, link_source, link_target, direction, routers, bits
   (out). Returns a net with a broken tree, or -1. */
API int64_t map_fill(const Argument *a) {
    const int32_t *source = a[0].data, *target = a[2].data, *link = a[5].data;
    const int32_t *from = a[6].data, *to = a[7].data, *direction = a[8].data;
    const int64_t *first = a[1].data, *bit = a[3].data, *tree_first = a[4].data;
    int64_t nets = a[0].rows, words = a[10].columns;
    uint64_t *bits = a[10].data;
    Room room = {0};
    int64_t *seen = take(&room, a[9].integer, 8), *entry = take(&room, a[9].integer, 8);
    if (room.failed) return leave(&room, 0);
    for (int64_t net = 0; net < nets; net++) {
        seen[source[net]] = net + 1;
        entry[source[net]] = net;
        for (int64_t i = tree_first[net]; i < tree_first[net + 1]; i++) {
            int64_t here = from[link[i]], there = to[link[i]];
            if (seen[here] != net + 1 || seen[there] == net + 1) return leave(&room, net);
            set(bits + entry[here] * words, direction[link[i]]);
            seen[there] = net + 1;
            entry[there] = nets + i;
        }
        for (int64_t pair = first[net]; pair < first[net + 1]; pair++) {
            if (seen[target[pair]] != net + 1) return leave(&room, net);
            set(bits + entry[target[pair]] * words, bit[pair]);
        }
    }
    return leave(&room, -1);
}

/* bits, slots, number (out), examples (out). Returns the number of distinct rows. */
API int64_t map_distinct(const Argument *a) {
    const uint64_t *bits = a[0].data;
    int64_t words = a[0].columns, slots = a[1].rows, *slot_of = a[1].data, distinct = 0;
    int32_t *number = a[2].data;
    int64_t *examples = a[3].data;
    for (int64_t row = 0; row < a[0].rows; row++) {
        const uint64_t *here = bits + row * words;
        uint64_t mixed = 0;
        for (int64_t word = 0; word < words; word++) {
            mixed = (mixed ^ here[word]) * 0x9E3779B97F4A7C15u;
            mixed ^= mixed >> 29;
        }
        int64_t slot = (int64_t)(mixed & (uint64_t)(slots - 1));
        while (slot_of[slot] >= 0 &&
               memcmp(here, bits + examples[slot_of[slot]] * words, (size_t)words * 8) != 0)
            slot = (slot + 1) & (slots - 1);
        if (slot_of[slot] < 0) {
            slot_of[slot] = distinct;
            examples[distinct++] = row;
        }
        number[row] = (int32_t)slot_of[slot];
    }
    return distinct;
}

/* first, member, others, of_first, of, fixed (in, out), state (in, out), side (out). */
API int64_t map_cut(const Argument *a) {
    const int64_t *first = a[0].data, *member = a[1].data, *of_first = a[3].data, *of = a[4].data;
    const double *others = a[2].data;
    int64_t *fixed = a[5].data, *side = a[7].data, count = a[0].rows - 1, n = a[3].rows - 1;
    uint64_t *state = a[6].data;
    int64_t largest = 1, total = 0;
    Room room = {0};
    int64_t *ones = take(&room, count, 8);
    double *weight = take(&room, count, 8);
    for (int64_t g = 0; g < count; g++) largest = most(largest, first[g + 1] - first[g]);
    double *cost = take(&room, largest + 1, 8); /* of members on the smaller side */
    if (room.failed) return leave(&room, 0);
    for (int64_t k = 0; k <= largest; k++) cost[k] = sqrt((double)k);
    for (int64_t p = 0; p < n; p++) {
        state[0] = following_linear(state[0]);
        side[p] = (int64_t)(state[0] >> 63);
        total += side[p];
    }
    for (int64_t g = 0; g < count; g++) {
        int64_t size = first[g + 1] - first[g];
        for (int64_t i = first[g]; i < first[g + 1]; i++) ones[g] += side[member[i]];
        if (size > 1) weight[g] = others[g] * ldexp(1.0, (int)-least(fixed[g], 2000)) / (double)size;
    }
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        int moved = 0;
        for (int64_t p = 0; p < n; p++) {
            int64_t step = 1 - 2 * side[p], skew = llabs(2 * (total + step) - n);
            if ((double)skew > 2 * SLACK * (double)n + 1 && skew > llabs(2 * total - n)) continue;
            double gain = 0;
            for (int64_t i = of_first[p]; i < of_first[p + 1]; i++) {
                int64_t g = of[i], size = first[g + 1] - first[g], after = ones[g] + step;
                double before = cost[least(ones[g], size - ones[g])];
                gain += weight[g] * (before - cost[least(after, size - after)]);
            }
            if (!(gain > 1e-9)) continue;
            moved = 1;
            side[p] += step;
            total += step;
            for (int64_t i = of_first[p]; i < of_first[p + 1]; i++) ones[of[i]] += step;
        }
        if (!moved) break;
    }
    for (int64_t g = 0; g < count; g++) fixed[g] += ones[g] == 0 || ones[g] == first[g + 1] - first[g];
    return leave(&room, 0);
}

/* Tables in one piece: those of router r are the entries first[r] to first[r + 1]. */
typedef struct {
    const int64_t *first;
    const uint32_t *key, *mask;
    const int32_t *route;
} Entries;

static Entries entries_of(const Argument *a) {
    return (Entries){a[0].data, a[1].data, a[2].data, a[3].data};
}

static int64_t first_match(uint32_t key, uint32_t mask, const Entries *t, int64_t router) {
    for (int64_t entry = t->first[router]; entry < t->first[router + 1]; entry++)
        if (((key ^ t->key[entry]) & mask & t->mask[entry]) == 0) return entry;
    return -1;
}

/* Blocks of packets that wait. */
typedef struct {
    uint32_t key[HALVES], mask[HALVES];
    int top;
} Halves;

/* Pushes the two halves of the packets, which differ in the lowest bit of `rest`. */
static void split(Halves *h, uint32_t key, uint32_t mask, uint32_t rest) {
    uint32_t bit = rest & (0 - rest);
    h->key[h->top] = key | bit, h->mask[h->top++] = mask | bit;
    h->key[h->top] = key, h->mask[h->top++] = mask | bit;
}

/* first, key, mask, route, the same of the reference, same, changed (out): see _compare. */
API int64_t map_compare(const Argument *a) {
    Entries tables = entries_of(a), reference = entries_of(a + 4);
    const int64_t *same = a[8].data;
    int64_t *changed = a[9].data, count = 0;
    for (int64_t router = 0; router < a[0].rows - 1; router++)
        for (int64_t e = reference.first[router]; e < reference.first[router + 1]; e++) {
            Halves h = {{reference.key[e]}, {reference.mask[e]}, 1};
            while (h.top) {
                uint32_t k = h.key[--h.top], m = h.mask[h.top];
                int64_t at = first_match(k, m, &tables, router);
                uint32_t rest = at >= 0 ? tables.mask[at] & ~m : 0;
                if (at < 0 || (rest == 0 && same[tables.route[at]] != reference.route[e])) {
                    if (count == a[9].rows) return 0;
                    changed[count++] = e;
                    break;
                }
                if (rest) split(&h, k, m, rest);
            }
        }
    return 0;
}

enum { NONE, MISSED, STRAY, LOOP, DEAD_LINK, NO_ENTRY };

/* A walk over all routers: see _one_walk. */
typedef struct {
    Entries tables;
    const uint64_t *routes;
    const int32_t *outgoing, *target;
    int64_t words, directions, bits, *wanted, *seen, *fault;
    int32_t *queue;
} Walk;

/* Follows packets that go together over one entry. Returns 0, or 1 with a fault. */
static int deliver(Walk *w, int64_t number, int64_t router, int64_t entry, int64_t *left,
                   int64_t *tail) {
    const uint64_t *route = w->routes + w->tables.route[entry] * w->words;
    for (int64_t at = 0; at < 64 * w->words; at++) {
        if (!(route[at >> 6] >> (at & 63))) {
            at |= 63;
            continue;
        }
        if (!(route[at >> 6] >> (at & 63) & 1)) continue;
        w->fault[3] = at;
        if (at >= w->directions) {
            if (w->wanted[router * w->bits + at] != number) {
                w->fault[0] = STRAY;
                return 1;
            }
            w->wanted[router * w->bits + at] = -1;
            --*left;
            continue;
        }
        int32_t link = w->outgoing[router * w->directions + at];
        if (link < 0) {
            w->fault[0] = DEAD_LINK;
            return 1;
        }
        int32_t there = w->target[link];
        if (w->seen[there] == number) {
            w->fault[0] = LOOP, w->fault[1] = there, w->fault[3] = -1;
            return 1;
        }
        w->seen[there] = number;
        w->queue[(*tail)++] = there;
    }
    return 0;
}

/* Walks with packets that go together. Returns bits that separate them, or 0 and the fault. */
static uint32_t one_walk(Walk *w, int64_t number, uint32_t key, uint32_t mask, int32_t source,
                         int64_t left) {
    int64_t head = 0, tail = 1;
    w->queue[0] = source;
    w->seen[source] = number;
    while (head < tail) {
        int64_t router = w->queue[head++], entry = first_match(key, mask, &w->tables, router);
        w->fault[1] = router, w->fault[2] = entry, w->fault[3] = -1;
        if (entry < 0) {
            w->fault[0] = NO_ENTRY;
            return 0;
        }
        uint32_t apart = w->tables.mask[entry] & ~mask;
        if (apart) return apart;
        if (deliver(w, number, router, entry, &left, &tail)) return 0;
    }
    w->fault[2] = w->fault[3] = -1;
    w->fault[0] = left ? MISSED : NONE;
    return 0;
}

/* net, source, first, target, bit, net_key, net_mask, outgoing, link_target, table_first, key, mask,
   route, routes, wanted, fault: see _follow. Returns the next net. */
API int64_t map_follow(const Argument *a) {
    const int32_t *source = a[1].data, *target = a[3].data;
    const int64_t *first = a[2].data, *bit = a[4].data;
    const uint32_t *net_key = a[5].data, *net_mask = a[6].data;
    int64_t net = a[0].integer, routers = a[14].rows, walks = net << 32;
    Walk w = {.tables = entries_of(a + 9),
              .routes = a[13].data,
              .outgoing = a[7].data,
              .target = a[8].data,
              .words = a[13].columns,
              .directions = a[7].columns,
              .bits = a[14].columns,
              .wanted = a[14].data,
              .fault = a[15].data};
    Room room = {0};
    w.seen = take(&room, routers, 8);
    w.queue = take(&room, routers, 4);
    if (room.failed) return leave(&room, 0);
    for (int64_t r = 0; r < routers; r++) w.seen[r] = -1;
    for (; net < a[1].rows; net++) {
        Halves h = {{net_key[net]}, {net_mask[net]}, 1};
        while (h.top) {
            uint32_t k = h.key[--h.top], m = h.mask[h.top];
            int64_t left = 0;
            walks++;
            for (int64_t pair = first[net]; pair < first[net + 1]; pair++) {
                int64_t at = target[pair] * w.bits + bit[pair];
                left += w.wanted[at] != walks;
                w.wanted[at] = walks;
            }
            uint32_t rest = one_walk(&w, walks, k, m, source[net], left);
            if (rest) split(&h, k, m, rest);
            else if (w.fault[0] > 0) {
                for (int64_t pair = first[net + 1] - 1; pair >= first[net]; pair--)
                    if (w.fault[0] == MISSED && w.wanted[target[pair] * w.bits + bit[pair]] == walks)
                        w.fault[1] = target[pair], w.fault[3] = bit[pair];
                w.fault[4] = k, w.fault[5] = net;
                return leave(&room, net + 1);
            }
        }
    }
    return leave(&room, net);
}
