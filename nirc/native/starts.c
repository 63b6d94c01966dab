/* First blocks, and annealing of parts: see nirc/mapping/partition, regroup.py, sectors.py and
   improve.py. */
#include <math.h>

#include "mapping.h"

enum { STAGES = 60 };

/* begin, pin, weight, of_begin, of_net, bulk, share, state, side (out). */
API int64_t map_grow(const Argument *a) {
    const int64_t *begin = a[0].data, *pin = a[1].data, *weight = a[2].data;
    const int64_t *of_begin = a[3].data, *of_net = a[4].data;
    const double *bulk = a[5].data;
    double share = a[6].real, reached = 0;
    int64_t nodes = a[5].rows, *state = a[7].data, *side = a[8].data;
    Room room = {0};
    double *score = take(&room, nodes, 8);
    if (room.failed) return leave(&room, 0);
    for (int64_t node = 0; node < nodes; node++) side[node] = 1;
    uint64_t now = following((uint64_t)state[0]);
    state[0] = (int64_t)now;
    int64_t node = below(now >> 32, nodes);
    while (node >= 0) {
        side[node] = 0;
        reached += bulk[node];
        if (reached >= share) break;
        for (int64_t i = of_begin[node]; i < of_begin[node + 1]; i++) {
            int64_t net = of_net[i];
            double part = (double)weight[net] / (double)most(1, begin[net + 1] - begin[net] - 1);
            for (int64_t j = begin[net]; j < begin[net + 1]; j++) score[pin[j]] += part;
        }
        node = -1;
        double best = -1;
        for (int64_t other = 0; other < nodes; other++) {
            if (side[other] != 1 || reached + bulk[other] > share * 1.02 + 1e-9) continue;
            double value = score[other] / (bulk[other] < 1e-12 ? 1e-12 : bulk[other]);
            if (value > best) {
                best = value;
                node = other;
            }
        }
    }
    return leave(&room, 0);
}

static double in_order(const double *x, const double *y, int64_t n) {
    double total = 0;
    for (int64_t k = 0; k < n; k++) total += x[k] * y[k];
    return total;
}

/* ends (edges, 2), weight, root (nodes, out), rounds, found (3, nodes, out). */
API int64_t map_smooth(const Argument *a) {
    const int64_t *ends = a[0].data;
    const double *weight = a[1].data;
    int64_t edges = a[1].rows, nodes = a[2].rows, rounds = a[3].integer;
    double *root = a[2].data, *found = a[4].data;
    Room room = {0};
    double *before = take(&room, 2 * nodes, 8), *part = take(&room, 2 * edges, 8);
    int64_t *first = take(&room, nodes + 2, 8), *other = take(&room, 2 * edges, 8);
    if (room.failed) return leave(&room, 0);
    for (int64_t k = 0; k < nodes; k++) root[k] = 1e-9;
    for (int64_t i = 0; i < edges; i++) {
        root[ends[2 * i]] += weight[i];
        root[ends[2 * i + 1]] += weight[i];
    }
    for (int64_t k = 0; k < nodes; k++) found[k] = root[k] = sqrt(root[k]);
    /* The ends of the edges at each node, in the order of the edges. */
    for (int64_t i = 0; i < 2 * edges; i++) first[ends[i] + 2]++;
    for (int64_t v = 0; v < nodes; v++) first[v + 2] += first[v + 1];
    for (int64_t i = 0; i < edges; i++) {
        int64_t a = ends[2 * i], b = ends[2 * i + 1];
        double share = weight[i] / (root[a] * root[b]);
        other[first[a + 1]] = b, part[first[a + 1]++] = share;
        other[first[b + 1]] = a, part[first[b + 1]++] = share;
    }
    uint64_t state = first_state(0);
    for (int64_t k = nodes; k < 3 * nodes; k++) {
        state = following(state);
        found[k] = (double)(state >> 40) / 16777216.0 - 0.5;
    }
    for (int64_t round = 0; round < rounds; round++) {
        for (int64_t k = 0; k < 3; k++) {
            double *x = found + k * nodes;
            for (int64_t i = 0; i < k; i++) {
                double product = in_order(found + i * nodes, x, nodes);
                for (int64_t v = 0; v < nodes; v++) x[v] -= product * found[i * nodes + v];
            }
            double norm = 1e-300;
            for (int64_t v = 0; v < nodes; v++) norm += x[v] * x[v];
            norm = sqrt(norm);
            for (int64_t v = 0; v < nodes; v++) x[v] /= norm;
        }
        double *x = found + nodes, *y = found + 2 * nodes;
        for (int64_t v = 0; v < nodes; v++) before[2 * v] = x[v], before[2 * v + 1] = y[v];
        for (int64_t v = 0; v < nodes; v++) {
            double in_x = x[v], in_y = y[v];
            for (int64_t j = first[v]; j < first[v + 1]; j++) {
                in_x += part[j] * before[2 * other[j]];
                in_y += part[j] * before[2 * other[j] + 1];
            }
            x[v] = in_x, y[v] = in_y;
        }
    }
    return leave(&room, 0);
}

/* Parts, their hyperedges and cores: see improve.py. */
typedef struct {
    const int64_t *first, *target, *weight, *source, *part_first, *part_edge, *role;
    int64_t *core, free, seen; /* seen: targets that were looked at */
} Parts;

static int64_t change(Parts *q, int64_t part, int64_t there) {
    int64_t here = q->core[part], total = 0;
    for (int64_t j = q->part_first[part]; j < q->part_first[part + 1]; j++) {
        int64_t e = q->part_edge[j], before = -1, after = -1;
        int is_target = q->role[j] & 1, is_source = q->role[j] & 2, on_here = 0, on_there = 0;
        for (int64_t t = q->first[e]; t < q->first[e + 1]; t++) {
            int64_t other = q->target[t];
            if (other == part) continue;
            on_here |= q->core[other] == here;
            on_there |= q->core[other] == there;
        }
        q->seen += q->first[e + 1] - q->first[e] + 1;
        if (q->free && q->source[e] >= 0) {
            before = after = q->core[q->source[e]];
            if (is_source) after = there;
        }
        int64_t cut = 0;
        cut -= (on_here || is_target) && before != here;
        cut -= on_there && before != there;
        cut += on_here && after != here;
        cut += (on_there || is_target) && after != there;
        total += cut * q->weight[e];
    }
    return total;
}

/* member (cores, room): the parts of each core, with their number and each part's slot. */
typedef struct {
    int64_t room, *member, *count, *slot;
} Members;

static void settle(Members *m, int64_t p, int64_t q, int64_t a, int64_t b) {
    int64_t *of_a = m->member + a * m->room, *of_b = m->member + b * m->room;
    if (q >= 0) {
        of_a[m->slot[p]] = q;
        of_b[m->slot[q]] = p;
        int64_t kept = m->slot[p];
        m->slot[p] = m->slot[q];
        m->slot[q] = kept;
        return;
    }
    int64_t last = of_a[--m->count[a]];
    of_a[m->slot[p]] = last;
    m->slot[last] = m->slot[p];
    of_b[m->count[b]] = p;
    m->slot[p] = m->count[b]++;
}

/* first, target, weight, source, part_first, part_edge, role, core, taken, left, free, uphill,
   temperatures, work, seed, best (out). */
API int64_t map_anneal_parts(const Argument *a) {
    Parts g = {a[0].data, a[1].data, a[2].data, a[3].data, a[4].data,
               a[5].data, a[6].data, a[7].data, a[10].integer, 0};
    const int64_t *taken = a[8].data;
    const double *uphill = a[11].data, *cooling = a[12].data;
    int64_t *left = a[9].data, work = a[13].integer, *best = a[15].data, *core = g.core;
    int64_t parts = a[7].rows, cores = a[9].rows, resources = a[9].columns;
    int64_t total = 0, lowest = 0, spent = 0, largest = 0;
    double hottest = 0;
    Room room = {0};
    Members m = {.count = take(&room, cores, 8), .slot = take(&room, parts, 8)};
    if (room.failed) return leave(&room, 0);
    for (int64_t p = 0; p < parts; p++) largest = most(largest, ++m.count[core[p]]);
    m.room = 4 * largest + 8;
    m.member = take(&room, cores * m.room, 8);
    if (room.failed) return leave(&room, 0);
    memset(m.count, 0, (size_t)cores * 8);
    for (int64_t p = 0; p < parts; p++) {
        m.slot[p] = m.count[core[p]]++;
        m.member[core[p] * m.room + m.slot[p]] = p;
    }
    uint64_t state = first_state(a[14].integer);
    memcpy(best, core, (size_t)parts * 8);
    for (int64_t stage = -1; stage < STAGES; stage++) {
        int64_t tries = 0, until = work * (stage + 2) / (STAGES + 1);
        double sum = 0, temperature = stage < 0 ? 0 : hottest * cooling[stage];
        while (spent < until) {
            spent += 2;
            state = following(state);
            int64_t p = below(state >> 32, parts), degree = g.part_first[p + 1] - g.part_first[p];
            if (degree == 0) continue;
            state = following(state);
            int64_t e = g.part_edge[g.part_first[p] + below(state >> 32, degree)];
            state = following(state);
            int64_t k = below(state >> 32, g.first[e + 1] - g.first[e] + 1);
            int64_t other = k == 0 ? g.source[e] : g.target[g.first[e] + k - 1];
            if (other < 0 || core[other] == core[p]) continue;
            int64_t from = core[p], to = core[other], q = -1; /* q goes from `to` to `from` */
            double luck = uphill[state & 4095];
            int fits = m.count[to] < m.room;
            for (int64_t r = 0; r < resources; r++)
                fits &= left[to * resources + r] >= taken[p * resources + r];
            if (!fits) {
                state = following(state);
                q = m.member[to * m.room + below(state >> 32, m.count[to])];
                fits = 1;
                for (int64_t r = 0; r < resources; r++) {
                    int64_t of_p = taken[p * resources + r], of_q = taken[q * resources + r];
                    fits &= left[to * resources + r] + of_q >= of_p;
                    fits &= left[from * resources + r] + of_p >= of_q;
                }
                if (!fits) continue;
            }
            g.seen = 0;
            int64_t delta = change(&g, p, to);
            if (q >= 0) {
                core[p] = to;
                delta += change(&g, q, from);
                core[p] = from;
            }
            spent += g.seen;
            tries++;
            if (stage < 0) {
                sum += (double)(delta < 0 ? -delta : delta);
                continue;
            }
            if (delta > 0 && (double)delta > temperature * luck) continue;
            total += delta;
            core[p] = to;
            if (q >= 0) core[q] = from;
            for (int64_t r = 0; r < resources; r++) {
                int64_t more = taken[p * resources + r] - (q >= 0 ? taken[q * resources + r] : 0);
                left[to * resources + r] -= more;
                left[from * resources + r] += more;
            }
            settle(&m, p, q, from, to);
            if (total < lowest) {
                lowest = total;
                memcpy(best, core, (size_t)parts * 8);
            }
        }
        if (stage < 0) {
            hottest = 0.5 * sum / (double)most(tries, 1);
            if (tries == 0) break;
        }
    }
    return leave(&room, 0);
}
