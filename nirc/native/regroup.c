/* Groups of neurons: see nirc/mapping/partition, hypergraph.py, refine.py, regroup.py, sectors.py. */
#include <math.h>

#include "mapping.h"

enum { MOST_RATED = 20000, LARGEST_NET = 1000, MOST_WAITING = 50, MOST_OVER = 250000000 };
static const int64_t NOWHERE = -((int64_t)1 << 59);

typedef struct {
    int64_t nodes, nets, resources;
    const int64_t *begin, *pin, *weight, *of_begin, *of_net, *size;
} Graph;

/* Reads begin, pin, weight, of_begin, of_net, size. */
static Graph graph_of(const Argument *a) {
    return (Graph){a[5].rows, a[2].rows, a[5].columns, a[0].data, a[1].data,
                   a[2].data, a[3].data, a[4].data,    a[5].data};
}

static void shuffle(int64_t *order, int64_t n, int64_t *state) {
    uint64_t now = (uint64_t)state[0];
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        now = following(now);
        int64_t j = below(now >> 32, i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    state[0] = (int64_t)now;
}

static double bulk(const int64_t *total, const int64_t *largest, int64_t resources) {
    double share = 1e-9;
    for (int64_t r = 0; r < resources; r++)
        if (largest[r] > 0) {
            double here = (double)total[r] / (double)largest[r];
            share = share < here ? here : share;
        }
    return share;
}

static int joins(const Graph *g, int64_t leader, int64_t node, const int64_t *block,
                 const int64_t *total, const int64_t *largest) {
    if (block[leader] != block[node]) return 0;
    for (int64_t r = 0; r < g->resources; r++)
        if (total[leader * g->resources + r] + total[node * g->resources + r] > largest[r]) return 0;
    return 1;
}

/* Rates the clusters beside a node. Returns their number. */
static int64_t rate(const Graph *g, int64_t node, const int64_t *leader, double *rating,
                    int64_t *touched) {
    int64_t many = 0, seen = 0;
    for (int64_t i = g->of_begin[node]; i < g->of_begin[node + 1]; i++) {
        int64_t net = g->of_net[i], pins = g->begin[net + 1] - g->begin[net];
        if (pins > LARGEST_NET) continue;
        seen += pins;
        if (seen > MOST_RATED) break;
        double share = (double)g->weight[net] / (double)(pins - 1);
        for (int64_t j = g->begin[net]; j < g->begin[net + 1]; j++) {
            int64_t other = leader[g->pin[j]];
            if (other == node) continue;
            if (rating[other] == 0) touched[many++] = other;
            rating[other] += share;
        }
    }
    return many;
}

/* graph, largest, block, most, state, leader (out). */
API int64_t map_clusters(const Argument *a) {
    Graph g = graph_of(a);
    const int64_t *largest = a[6].data, *block = a[7].data;
    int64_t fewest = a[8].integer, *state = a[9].data, *leader = a[10].data;
    Room room = {0};
    int64_t *total = take(&room, g.nodes * g.resources, 8), *touched = take(&room, g.nodes, 8);
    int64_t *order = take(&room, g.nodes, 8), left = g.nodes, lonely = -1;
    double *rating = take(&room, g.nodes, 8);
    char *joined = take(&room, g.nodes, 1);
    if (room.failed) return leave(&room, 0);
    memcpy(total, g.size, (size_t)(g.nodes * g.resources) * 8);
    for (int64_t node = 0; node < g.nodes; node++) leader[node] = node;
    shuffle(order, g.nodes, state);
    for (int64_t k = 0; k < g.nodes; k++) {
        int64_t node = order[k], best = -1;
        if (joined[node]) continue;
        if (left <= fewest) break;
        int64_t many = rate(&g, node, leader, rating, touched);
        double highest = 0;
        for (int64_t i = 0; i < many; i++) {
            int64_t other = touched[i];
            double value = rating[other] / bulk(total + other * g.resources, largest, g.resources);
            if (value > highest && joins(&g, other, node, block, total, largest)) {
                highest = value;
                best = other;
            }
            rating[other] = 0;
        }
        if (many == 0) {
            if (lonely >= 0 && joins(&g, lonely, node, block, total, largest)) best = lonely;
            else lonely = node;
        }
        if (best < 0) continue;
        leader[node] = best;
        joined[node] = joined[best] = 1;
        left--;
        for (int64_t r = 0; r < g.resources; r++)
            total[best * g.resources + r] += total[node * g.resources + r];
    }
    return leave(&room, 0);
}

/* Blocks, with the gains of all moves: see _refine. */
typedef struct {
    Graph g;
    int64_t blocks;
    const int64_t *capacity;
    int64_t *block, *load, *kept, *missing;
    int32_t *pins;
} Held;

static int fits(const Held *h, int64_t node, int64_t b) {
    int64_t n = h->g.resources;
    for (int64_t r = 0; r < n; r++)
        if (h->load[b * n + r] + h->g.size[node * n + r] > h->capacity[b * n + r]) return 0;
    return 1;
}

/* Returns the best gain of a move of `node` and its block, or -1. */
static int64_t best_move(const Held *h, int64_t node, int64_t *to) {
    int64_t gain = NOWHERE, best = -1, n = h->g.resources, kept = h->kept[node];
    const int64_t *missing = h->missing + node * h->blocks;
    for (int64_t b = 0; b < h->blocks; b++) {
        int64_t here = kept - missing[b];
        if (here < gain || b == h->block[node] || !fits(h, node, b)) continue;
        if (here > gain || h->load[b * n] < h->load[best * n]) {
            gain = here;
            best = b;
        }
    }
    *to = best;
    return gain;
}

static int64_t gain_of(const Held *h, int64_t node, int64_t to) {
    if (h->block[node] == to || !fits(h, node, to)) return NOWHERE;
    return h->kept[node] - h->missing[node * h->blocks + to];
}

static int64_t hope(const Held *h, int64_t node) {
    int64_t to, gain = best_move(h, node, &to);
    if (to >= 0) return gain;
    for (int64_t b = 0; b < h->blocks; b++)
        if (b != h->block[node])
            gain = most(gain, h->kept[node] - h->missing[node * h->blocks + b]);
    return gain;
}

/* Moves `node` and brings all gains up to date. Returns the pins that were looked at. */
static int64_t move(const Held *h, int64_t node, int64_t to) {
    const Graph *g = &h->g;
    int64_t from = h->block[node], blocks = h->blocks;
    int64_t work = g->of_begin[node + 1] - g->of_begin[node];
    h->block[node] = to;
    for (int64_t r = 0; r < g->resources; r++) {
        h->load[from * g->resources + r] -= g->size[node * g->resources + r];
        h->load[to * g->resources + r] += g->size[node * g->resources + r];
    }
    h->kept[node] = 0;
    for (int64_t i = g->of_begin[node]; i < g->of_begin[node + 1]; i++) {
        int64_t net = g->of_net[i], weight = g->weight[net];
        int32_t left = --h->pins[net * blocks + from], arrived = ++h->pins[net * blocks + to];
        if (arrived == 1) h->kept[node] += weight;
        if (left > 1 && arrived > 2) continue;
        work += g->begin[net + 1] - g->begin[net];
        for (int64_t j = g->begin[net]; j < g->begin[net + 1]; j++) {
            int64_t other = g->pin[j];
            if (left == 0) h->missing[other * blocks + from] += weight;
            else if (left == 1 && h->block[other] == from) h->kept[other] += weight;
            if (arrived == 1) h->missing[other * blocks + to] -= weight;
            else if (arrived == 2 && other != node && h->block[other] == to) h->kept[other] -= weight;
        }
    }
    return work;
}

/* A heap of nodes, the largest key first. at: the place of a node, -1: not in the heap. */
typedef struct {
    int64_t *heap, *at, *key, n;
} Heap;

static void up(Heap *q, int64_t i) {
    int64_t node = q->heap[i];
    while (i > 0) {
        int64_t parent = (i - 1) >> 1;
        if (q->key[q->heap[parent]] >= q->key[node]) break;
        q->heap[i] = q->heap[parent];
        q->at[q->heap[i]] = i;
        i = parent;
    }
    q->heap[i] = node;
    q->at[node] = i;
}

static void down(Heap *q, int64_t i) {
    int64_t node = q->heap[i];
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= q->n) break;
        if (child + 1 < q->n && q->key[q->heap[child + 1]] > q->key[q->heap[child]]) child++;
        if (q->key[q->heap[child]] <= q->key[node]) break;
        q->heap[i] = q->heap[child];
        q->at[q->heap[i]] = i;
        i = child;
    }
    q->heap[i] = node;
    q->at[node] = i;
}

static void place(Heap *q, int64_t node, int64_t value) {
    int64_t before = q->key[node];
    q->key[node] = value;
    if (q->at[node] < 0) {
        q->heap[q->n] = node;
        q->at[node] = q->n++;
        up(q, q->at[node]);
    } else if (value > before) up(q, q->at[node]);
    else if (value < before) down(q, q->at[node]);
}

static void drop(Heap *q, int64_t node) {
    int64_t i = q->at[node];
    q->at[node] = -1;
    if (i < --q->n) {
        q->heap[i] = q->heap[q->n];
        q->at[q->heap[i]] = i;
        up(q, i);
        down(q, q->at[q->heap[i]]);
    }
}

static double excess(const Held *h, int64_t b) {
    double total = 0;
    for (int64_t r = 0; r < h->g.resources; r++) {
        int64_t k = b * h->g.resources + r;
        if (h->load[k] > h->capacity[k])
            total += (double)(h->load[k] - h->capacity[k]) / (double)most(1, h->capacity[k]);
    }
    return total;
}

/* Moves nodes out of blocks that are above their capacity, the cheapest first. */
static void relieve(const Held *h) {
    for (int64_t b = 0; b < h->blocks; b++)
        while (excess(h, b) > 0) {
            int64_t chosen = -1, gain = NOWHERE, to;
            for (int64_t node = 0; node < h->g.nodes; node++) {
                if (h->block[node] != b) continue;
                int64_t value = best_move(h, node, &to);
                if (to >= 0 && value > gain) {
                    gain = value;
                    chosen = node;
                }
            }
            if (chosen < 0) break;
            best_move(h, chosen, &to);
            move(h, chosen, to);
        }
}

/* Counts pins and gains from the blocks. touched (blocks,), total (nodes,): zeros. */
static void count(const Held *h, int64_t *touched, int64_t *total) {
    const Graph *g = &h->g;
    for (int64_t node = 0; node < g->nodes; node++)
        for (int64_t r = 0; r < g->resources; r++)
            h->load[h->block[node] * g->resources + r] += g->size[node * g->resources + r];
    for (int64_t net = 0; net < g->nets; net++) {
        int32_t *pins = h->pins + net * h->blocks;
        int64_t many = 0;
        for (int64_t j = g->begin[net]; j < g->begin[net + 1]; j++)
            if (pins[h->block[g->pin[j]]]++ == 0) touched[many++] = h->block[g->pin[j]];
        for (int64_t j = g->begin[net]; j < g->begin[net + 1]; j++) {
            int64_t node = g->pin[j];
            if (pins[h->block[node]] == 1) h->kept[node] += g->weight[net];
            total[node] += g->weight[net];
            for (int64_t i = 0; i < many; i++)
                h->missing[node * h->blocks + touched[i]] -= g->weight[net];
        }
    }
    for (int64_t node = 0; node < g->nodes; node++)
        for (int64_t b = 0; b < h->blocks; b++) h->missing[node * h->blocks + b] += total[node];
}

/* What a pass remembers. */
typedef struct {
    int64_t *kept_then, *who, *origin, *order, waits[MOST_WAITING], waiting;
    char *moved;
} Pass;

static void hold(Heap *q, Pass *p, const Held *h, int64_t node, int64_t value) {
    p->kept_then[node] = h->kept[node];
    place(q, node, value);
}

/* Gives the neighbours of a node, which moved from `from` to `to`, new keys. */
static void renew(Heap *q, Pass *p, const Held *h, int64_t node, int64_t from, int64_t to) {
    const Graph *g = &h->g;
    for (int64_t i = g->of_begin[node]; i < g->of_begin[node + 1]; i++) {
        int64_t net = g->of_net[i];
        if (h->pins[net * h->blocks + from] > 1 && h->pins[net * h->blocks + to] > 2) continue;
        for (int64_t j = g->begin[net]; j < g->begin[net + 1]; j++) {
            int64_t other = g->pin[j], value;
            if (p->moved[other]) continue;
            if (q->at[other] < 0) value = hope(h, other);
            else {
                value = q->key[other] + h->kept[other] - p->kept_then[other];
                value = most(value, gain_of(h, other, from));
                value = most(value, gain_of(h, other, to));
            }
            hold(q, p, h, other, value);
        }
    }
    int64_t left = 0, unused;
    for (int64_t i = 0; i < p->waiting; i++) {
        int64_t other = p->waits[i];
        if (q->at[other] >= 0 || p->moved[other]) continue;
        if (fits(h, other, from)) hold(q, p, h, other, best_move(h, other, &unused));
        else p->waits[left++] = other;
    }
    p->waiting = left;
}

/* One pass. Returns the gain. */
static int64_t one_pass(Heap *q, Pass *p, const Held *h, int64_t patience, int64_t *state) {
    const Graph *g = &h->g;
    int64_t done = 0, sum = 0, best = 0, best_done = 0;
    memset(p->moved, 0, (size_t)g->nodes);
    for (int64_t node = 0; node < g->nodes; node++) q->at[node] = -1;
    q->n = p->waiting = 0;
    shuffle(p->order, g->nodes, state);
    for (int64_t k = 0; k < g->nodes; k++) {
        int64_t node = p->order[k];
        for (int64_t i = g->of_begin[node]; i < g->of_begin[node + 1]; i++) {
            int64_t net = g->of_net[i];
            if (h->pins[net * h->blocks + h->block[node]] < g->begin[net + 1] - g->begin[net]) {
                hold(q, p, h, node, hope(h, node));
                break;
            }
        }
    }
    while (q->n > 0 && done - best_done < patience && state[1] > -MOST_OVER) {
        int64_t node = q->heap[0], to, gain = best_move(h, node, &to);
        if (to < 0) {
            drop(q, node);
            if (p->waiting < MOST_WAITING) p->waits[p->waiting++] = node;
            continue;
        }
        if (gain < q->key[node]) {
            hold(q, p, h, node, gain);
            continue;
        }
        drop(q, node);
        int64_t from = h->block[node];
        p->moved[node] = 1;
        p->who[done] = node;
        p->origin[done++] = from;
        sum += gain;
        state[1] -= move(h, node, to);
        renew(q, p, h, node, from, to);
        if (sum > best) {
            best = sum;
            best_done = done;
        }
    }
    for (int64_t i = done - 1; i >= best_done; i--) state[1] -= move(h, p->who[i], p->origin[i]);
    return best;
}

/* graph, block, capacity, passes, patience, state. */
API int64_t map_refine(const Argument *a) {
    Graph g = graph_of(a);
    int64_t blocks = a[7].rows, passes = a[8].integer, patience = a[9].integer, *state = a[10].data;
    Room room = {0};
    int64_t *touched = take(&room, blocks, 8), *total = take(&room, g.nodes, 8);
    Held h = {.g = g, .blocks = blocks, .capacity = a[7].data, .block = a[6].data};
    h.load = take(&room, blocks * g.resources, 8);
    h.kept = take(&room, g.nodes, 8);
    h.missing = take(&room, g.nodes * blocks, 8);
    h.pins = take(&room, g.nets * blocks, 4);
    Heap q = {take(&room, g.nodes, 8), take(&room, g.nodes, 8), take(&room, g.nodes, 8), 0};
    Pass p = {.kept_then = take(&room, g.nodes, 8), .who = take(&room, g.nodes, 8)};
    p.origin = take(&room, g.nodes, 8);
    p.order = take(&room, g.nodes, 8);
    p.moved = take(&room, g.nodes, 1);
    if (room.failed) return leave(&room, 0);
    count(&h, touched, total);
    relieve(&h);
    for (int64_t k = 0; k < passes; k++)
        if (one_pass(&q, &p, &h, patience, state) == 0 || state[1] < 0) break;
    return leave(&room, 0);
}
