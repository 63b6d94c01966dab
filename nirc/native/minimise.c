/* Shorter routing tables: see nirc/mapping/tables, minimise.py and cover.py. */
#include "mapping.h"

enum { MOVES_PER_ROUTE = 8 };

/* A table, sorted by route, the order of routes from the top, and the entries that match them. */
typedef struct {
    int64_t blocks, routes, *start, *place, *order, *inside;
    uint32_t *key, *mask, *hull_key, *hull_mask;
    uint32_t *entry_key, *entry_mask, *other_key, *other_mask;
    int64_t *size, *other_size, *changed;
    uint32_t *bars, *dropped; /* of cover */
    int64_t *left, work;
} Table;

static int meet(uint32_t key, uint32_t mask, uint32_t other_key, uint32_t other_mask) {
    return ((key ^ other_key) & mask & other_mask) == 0;
}

static int allowed(uint32_t dropped, const uint32_t *bars, int64_t count) {
    for (int64_t j = 0; j < count; j++)
        if ((bars[j] & ~dropped) == 0) return 0;
    return 1;
}

/* Returns a block below the place with a packet that this entry matches, or -1. */
static int64_t foreign_block(Table *t, uint32_t key, uint32_t mask, int64_t place) {
    for (int64_t i = 0; i < t->blocks; i++)
        if (meet(key, mask, t->key[i], t->mask[i]) && t->place[i] > place) {
            t->work -= i;
            return i;
        }
    t->work -= t->blocks;
    return -1;
}

static uint32_t bits_to_drop(Table *t, uint32_t k, uint32_t m, int64_t place, int64_t count) {
    uint32_t dropped = 0;
    int64_t bars = 0, *left = t->left;
    for (int64_t i = 1; i < count; i++)
        t->dropped[i] = m & ((k ^ t->key[left[i]]) | ~t->mask[left[i]]);
    for (int64_t tried = 1; tried < count;) {
        int64_t best = tried;
        int fewest = 33;
        for (int64_t i = tried; i < count; i++) {
            int more = __builtin_popcount(t->dropped[i] & ~dropped);
            if (more < fewest) {
                best = i;
                fewest = more;
            }
        }
        uint32_t drop = t->dropped[best], wider = dropped | drop;
        int64_t block = left[best];
        t->dropped[best] = t->dropped[tried], t->dropped[tried] = drop;
        left[best] = left[tried], left[tried] = block;
        tried++;
        t->work -= count - tried;
        if (!allowed(wider, t->bars, bars)) continue;
        int64_t foreign = foreign_block(t, k & ~wider, m & ~wider, place);
        if (foreign < 0) dropped = wider;
        else t->bars[bars++] = (k ^ t->key[foreign]) & m & t->mask[foreign];
    }
    return dropped;
}

/* Writes entries that match all blocks of the route and none below. Returns their number. */
static int64_t cover(Table *t, int64_t route, int64_t place, uint32_t *key, uint32_t *mask) {
    int64_t count = t->start[route + 1] - t->start[route], size = 0, *left = t->left;
    for (int64_t i = 0; i < count; i++) left[i] = t->start[route] + i;
    while (count) {
        uint32_t k = t->key[left[0]], m = t->mask[left[0]], dropped = 0;
        if (count > 1 && t->work > 0) dropped = bits_to_drop(t, k, m, place, count);
        key[size] = k & ~dropped;
        mask[size++] = m & ~dropped;
        int64_t kept = 0;
        for (int64_t i = 1; i < count; i++) {
            uint32_t differs = ((k ^ t->key[left[i]]) & m) | (m & ~t->mask[left[i]]);
            if (differs & ~dropped) left[kept++] = left[i];
        }
        count = kept;
    }
    return size;
}

/* Joins neighbours that make an aligned block of one route, in place. Returns the new length. */
static int64_t join_siblings(uint32_t *key, uint32_t *mask, int32_t *route, int64_t n) {
    int64_t top = 0;
    for (int64_t i = 0; i < n; i++, top++) {
        key[top] = key[i], mask[top] = mask[i], route[top] = route[i];
        while (top && route[top - 1] == route[top] && mask[top - 1] == mask[top]) {
            uint32_t step = ~mask[top] + 1;
            if ((key[top - 1] ^ key[top]) != step || step == 0) break;
            mask[--top] ^= step;
        }
    }
    return top;
}

/* Sorts a table by route, in the order of first entries. local (all routes): zeros, and again after.
   order: the sorted entries. */
static void by_route(Table *t, const uint32_t *key, const uint32_t *mask, const int32_t *route,
                     int32_t *local, int32_t *names) {
    t->routes = 0;
    for (int64_t i = 0; i < t->blocks; i++)
        if (local[route[i]] == 0) {
            local[route[i]] = (int32_t)++t->routes;
            names[t->routes - 1] = route[i];
        }
    memset(t->start, 0, (size_t)(t->routes + 1) * 8);
    for (int64_t i = 0; i < t->blocks; i++) t->start[local[route[i]]]++;
    for (int64_t r = 0; r < t->routes; r++) t->start[r + 1] += t->start[r];
    memcpy(t->size, t->start, (size_t)t->routes * 8); /* where the next one goes */
    for (int64_t i = 0; i < t->blocks; i++) {
        int64_t at = t->size[local[route[i]] - 1]++;
        t->key[at] = key[i], t->mask[at] = mask[i];
    }
    for (int64_t r = 0; r < t->routes; r++) local[names[r]] = 0;
}

/* The narrowest entry for all of a route, and how many foreign blocks it meets. */
static void hulls(Table *t) {
    for (int64_t r = 0; r < t->routes; r++) {
        uint32_t k = t->key[t->start[r]], m = t->mask[t->start[r]];
        for (int64_t i = t->start[r] + 1; i < t->start[r + 1]; i++) m &= t->mask[i] & ~(k ^ t->key[i]);
        t->hull_key[r] = k & m;
        t->hull_mask[r] = m;
        t->inside[r] = 0;
        for (int64_t i = 0; i < t->blocks; i++)
            if (i < t->start[r] || i >= t->start[r + 1])
                t->inside[r] += meet(t->key[i], t->mask[i], t->hull_key[r], m);
    }
}

/* Routes from the top: those of one entry first, then those with fewest blocks. */
static void first_order(Table *t, char *waiting) {
    memset(waiting, 1, (size_t)t->routes);
    for (int64_t place = 0; place < t->routes; place++) {
        int64_t best = -1, fewest = 0;
        for (int64_t r = 0; r < t->routes; r++) {
            if (!waiting[r]) continue;
            int64_t count = t->inside[r] ? t->start[r + 1] - t->start[r] : 0;
            if (best < 0 || count < fewest) {
                best = r;
                fewest = count;
            }
        }
        t->order[place] = best;
        waiting[best] = 0;
        for (int64_t r = 0; r < t->routes; r++)
            if (waiting[r] && t->inside[r])
                for (int64_t i = t->start[best]; i < t->start[best + 1]; i++)
                    t->inside[r] -= meet(t->key[i], t->mask[i], t->hull_key[r], t->hull_mask[r]);
    }
}

static void put(Table *t, int64_t place) {
    int64_t route = t->order[place];
    for (int64_t i = t->start[route]; i < t->start[route + 1]; i++) t->place[i] = place;
}

/* Moves the route at place `begin` to `end`. The routes between move by one place. */
static void shift(Table *t, int64_t begin, int64_t end) {
    int64_t step = end > begin ? 1 : -1, route = t->order[begin];
    for (int64_t place = begin; place != end; place += step) t->order[place] = t->order[place + step];
    t->order[end] = route;
    for (int64_t place = least(begin, end); place <= most(begin, end); place++) put(t, place);
}

static int may_gain(const Table *t, int64_t route, int64_t foreign) {
    if (t->size[route] < 2) return 0;
    for (int64_t i = t->start[foreign]; i < t->start[foreign + 1]; i++)
        if (meet(t->hull_key[route], t->hull_mask[route], t->key[i], t->mask[i])) return 1;
    return 0;
}

static int meets(const Table *t, int64_t route, int64_t below) {
    for (int64_t e = t->start[route]; e < t->start[route] + t->size[route]; e++)
        for (int64_t i = t->start[below]; i < t->start[below + 1]; i++)
            if (meet(t->entry_key[e], t->entry_mask[e], t->key[i], t->mask[i])) return 1;
    return 0;
}

/* Fills `changed` with the places of routes whose entries may change. Returns their number. */
static int64_t affected(Table *t, int64_t begin, int64_t end) {
    int64_t route = t->order[end], count = 0;
    int down = end > begin;
    int64_t low = down ? begin : end + 1, high = down ? end : begin + 1;
    for (int64_t place = low; place < high; place++)
        if (down ? may_gain(t, route, t->order[place]) : meets(t, route, t->order[place])) {
            t->changed[count++] = end;
            break;
        }
    for (int64_t place = low; place < high; place++)
        if (down ? meets(t, t->order[place], route) : may_gain(t, t->order[place], route))
            t->changed[count++] = place;
    return count;
}

/* Takes the new order with its new entries. Returns 0 if this would cost more entries. */
static int accept(Table *t, int64_t begin, int64_t end) {
    int64_t count = affected(t, begin, end), change = 0, most_saved = 0;
    for (int64_t i = 0; i < count; i++) most_saved += t->size[t->order[t->changed[i]]] - 1;
    for (int64_t i = 0; i < count; i++) {
        int64_t route = t->order[t->changed[i]], first = t->start[route];
        most_saved -= t->size[route] - 1;
        t->other_size[route] =
            cover(t, route, t->changed[i], t->other_key + first, t->other_mask + first);
        change += t->other_size[route] - t->size[route];
        if (change > most_saved) return 0;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t route = t->order[t->changed[i]], first = t->start[route];
        size_t bytes = (size_t)t->other_size[route] * 4;
        t->size[route] = t->other_size[route];
        memcpy(t->entry_key + first, t->other_key + first, bytes);
        memcpy(t->entry_mask + first, t->other_mask + first, bytes);
    }
    return 1;
}

/* Returns the place of route `number` among the routes with several entries. */
static int64_t place_of(const Table *t, int64_t number) {
    int64_t place = -1;
    for (; number >= 0; number--)
        do place++;
        while (t->size[t->order[place]] < 2);
    return place;
}

/* Moves routes while this saves entries: see _reorder. */
static void reorder(Table *t) {
    uint64_t state = (uint64_t)t->routes;
    for (int64_t move = 0; move < MOVES_PER_ROUTE * t->routes; move++) {
        int64_t several = 0; /* routes with several entries */
        for (int64_t route = 0; route < t->routes; route++) several += t->size[route] > 1;
        if (several == 0 || t->work <= 0) return;
        t->work -= t->blocks;
        state = following_linear(state);
        int64_t draw = (int64_t)(state >> 33), begin = draw % t->routes;
        if (draw & 0x60000000) begin = place_of(t, draw % several);
        state = following_linear(state);
        int64_t end = (int64_t)(state >> 33) % t->routes;
        if (begin == end) continue;
        shift(t, begin, end);
        if (!accept(t, begin, end)) shift(t, end, begin);
    }
}

/* Memory for tables of up to n entries. */
static Table table_for(Room *room, int64_t n) {
    Table t = {0};
    int64_t **longs[] = {&t.start,      &t.place,   &t.order, &t.inside, &t.size,
                         &t.other_size, &t.changed, &t.left};
    uint32_t **words[] = {&t.key,        &t.mask,      &t.hull_key,   &t.hull_mask, &t.entry_key,
                          &t.entry_mask, &t.other_key, &t.other_mask, &t.bars,      &t.dropped};
    int64_t *memory = take(room, 8 * (n + 1), 8);
    uint32_t *more = take(room, 10 * (n + 1), 4);
    for (int k = 0; k < 8; k++) *longs[k] = room->failed ? NULL : memory + k * (n + 1);
    for (int k = 0; k < 10; k++) *words[k] = room->failed ? NULL : more + k * (n + 1);
    return t;
}

/* first, key, mask, route, routes, sizes (out), work: each table in place: see _minimise_all. */
API int64_t map_minimise(const Argument *a) {
    const int64_t *first = a[0].data;
    int64_t longest = 0, *sizes = a[5].data;
    for (int64_t r = 0; r < a[0].rows - 1; r++) longest = most(longest, first[r + 1] - first[r]);
    Room room = {0};
    int32_t *local = take(&room, a[4].integer, 4), *names = take(&room, longest, 4);
    char *waiting = take(&room, longest, 1);
    Table t = table_for(&room, longest);
    if (room.failed) return leave(&room, 0);
    for (int64_t r = 0; r < a[0].rows - 1; r++) {
        uint32_t *key = (uint32_t *)a[1].data + first[r], *mask = (uint32_t *)a[2].data + first[r];
        int32_t *route = (int32_t *)a[3].data + first[r];
        t.work = a[6].integer;
        t.blocks = join_siblings(key, mask, route, first[r + 1] - first[r]);
        by_route(&t, key, mask, route, local, names);
        hulls(&t);
        first_order(&t, waiting);
        for (int64_t place = 0; place < t.routes; place++) put(&t, place);
        for (int64_t place = 0; place < t.routes; place++) {
            int64_t at = t.start[t.order[place]];
            t.size[t.order[place]] =
                cover(&t, t.order[place], place, t.entry_key + at, t.entry_mask + at);
        }
        reorder(&t);
        sizes[r] = 0;
        for (int64_t place = 0; place < t.routes; place++) {
            int64_t number = t.order[place], at = t.start[number];
            for (int64_t e = at; e < at + t.size[number]; e++, sizes[r]++) {
                key[sizes[r]] = t.entry_key[e], mask[sizes[r]] = t.entry_mask[e];
                route[sizes[r]] = names[number];
            }
        }
    }
    return leave(&room, 0);
}
