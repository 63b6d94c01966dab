/* Annealing of neurons on the cells of a mesh: see nirc/mapping/multicast.py. */
#include "mapping.h"

typedef struct {
    int64_t nodes, nets, resources, cells, width, height;
    const int64_t *begin, *pin, *weight, *of_begin, *of_net, *size, *source, *least, *capacity;
    int64_t *cell, *load, *tree, *slot, *members, *count, *x, *y;
    int32_t *pins;
    uint64_t *column;
} Mesh;

/* Returns the distance of the first and the last bit. */
static inline int64_t span(uint64_t bits) {
    return 63 - __builtin_clzll(bits) - __builtin_ctzll(bits);
}

/* Returns the links of a tree from (x, y): first along x, then along y in every column. */
static inline int64_t links(const uint64_t *column, int64_t width, int64_t x, int64_t y) {
    uint64_t used = (uint64_t)1 << x, bit = (uint64_t)1 << y;
    int64_t total = 0;
    for (int64_t k = 0; k < width; k++) {
        used |= (uint64_t)(column[k] != 0) << k;
        total += span(column[k] | bit);
    }
    return total + span(used);
}

static inline uint64_t *row_bit(const Mesh *m, int64_t net, int64_t cell, uint64_t *bit) {
    *bit = (uint64_t)1 << m->y[cell];
    return m->column + net * m->width + m->x[cell];
}

/* Returns the links of a net once a pin goes from one cell to another (or none: from < 0), and the
   source is at `start`. */
static int64_t links_after(const Mesh *m, int64_t net, int64_t from, int64_t to, int64_t start) {
    uint64_t bit_from, bit_to, *left = row_bit(m, net, most(from, 0), &bit_from);
    uint64_t *entered = row_bit(m, net, most(to, 0), &bit_to), kept_left = *left, kept = *entered;
    int leaves = from >= 0 && m->pins[net * m->cells + from] == 1;
    int enters = from >= 0 && !(kept & bit_to);
    if (!leaves && !enters && start == m->cell[m->source[net]]) return m->tree[net];
    if (leaves) *left &= ~bit_from;
    if (enters) *entered |= bit_to;
    int64_t total = links(m->column + net * m->width, m->width, m->x[start], m->y[start]);
    *left = kept_left;
    *entered = kept;
    return total;
}

/* Goes over the nets of `a` and `b` (or -1). Returns the change of the cost. after: links of each. */
static int64_t change_of(const Mesh *m, int64_t a, int64_t b, int64_t to, int64_t *after) {
    int64_t i = m->of_begin[a], end = m->of_begin[a + 1], change = 0, k = 0, from = m->cell[a];
    int64_t j = b < 0 ? 0 : m->of_begin[b], other_end = b < 0 ? 0 : m->of_begin[b + 1];
    while (i < end || j < other_end) {
        int64_t one = i < end ? m->of_net[i] : INT64_MAX;
        int64_t other = j < other_end ? m->of_net[j] : INT64_MAX, net = least(one, other);
        int64_t source = m->source[net], start = m->cell[source];
        if (source == a) start = to;
        else if (source == b) start = from;
        if (one == other) after[k] = links_after(m, net, -1, -1, start);
        else if (one == net) after[k] = links_after(m, net, from, to, start);
        else after[k] = links_after(m, net, to, from, start);
        change += m->weight[net] * (after[k++] - m->tree[net]);
        i += one == net;
        j += other == net;
    }
    return change;
}

static void put(const Mesh *m, int64_t node, int64_t to) {
    int64_t from = m->cell[node], last = m->members[from * m->nodes + --m->count[from]];
    m->members[from * m->nodes + m->slot[node]] = last;
    m->slot[last] = m->slot[node];
    m->slot[node] = m->count[to];
    m->members[to * m->nodes + m->count[to]++] = node;
    m->cell[node] = to;
    for (int64_t r = 0; r < m->resources; r++) {
        m->load[from * m->resources + r] -= m->size[node * m->resources + r];
        m->load[to * m->resources + r] += m->size[node * m->resources + r];
    }
    for (int64_t i = m->of_begin[node]; i < m->of_begin[node + 1]; i++) {
        int64_t net = m->of_net[i];
        uint64_t bit, *column = row_bit(m, net, from, &bit);
        if (--m->pins[net * m->cells + from] == 0) *column &= ~bit;
        column = row_bit(m, net, to, &bit);
        if (m->pins[net * m->cells + to]++ == 0) *column |= bit;
    }
}

static int fits(const Mesh *m, int64_t node, int64_t instead, int64_t to) {
    for (int64_t r = 0; r < m->resources; r++) {
        int64_t load = m->load[to * m->resources + r] + m->size[node * m->resources + r];
        if (instead >= 0) load -= m->size[instead * m->resources + r];
        if (load > m->capacity[to * m->resources + r]) return 0;
    }
    return 1;
}

static int may_leave(const Mesh *m, int64_t node, int64_t instead) {
    const int64_t n = m->resources, *load = m->load + m->cell[node] * n;
    for (int64_t r = 0; r < n; r++) {
        int64_t arriving = instead < 0 ? 0 : m->size[instead * n + r];
        if (load[r] - m->size[node * n + r] + arriving < m->least[m->cell[node] * n + r]) return 0;
    }
    return 1;
}

/* Draws a node, a cell (*to) and a node there to exchange (*b), or -1. Returns the node, or -1. */
static int64_t drawn(const Mesh *m, uint64_t *state, int64_t move, const double *uphill,
                     double *luck, int64_t *to, int64_t *b) {
    uint64_t now = following(*state);
    int64_t a = below(now >> 32, m->nodes), nets = m->of_begin[a + 1] - m->of_begin[a];
    *luck = uphill[now & 4095];
    now = following(now);
    *to = below(now >> 32, m->cells);
    if ((move & 1) && nets > 0) {
        int64_t net = m->of_net[m->of_begin[a] + below(now >> 32, nets)];
        now = following(now);
        int64_t pins = m->begin[net + 1] - m->begin[net];
        *to = m->cell[m->pin[m->begin[net] + below(now >> 32, pins)]];
    }
    *state = now = following(now);
    *b = -1;
    if (*to == m->cell[a]) return -1;
    int alone = fits(m, a, -1, *to) && may_leave(m, a, -1);
    if (alone && (now & 1)) return a;
    if (m->count[*to] == 0) return alone ? a : -1;
    *b = m->members[*to * m->nodes + below(now >> 32, m->count[*to])];
    int both = fits(m, a, *b, *to) && fits(m, *b, a, m->cell[a]);
    return both && may_leave(m, a, *b) && may_leave(m, *b, a) ? a : -1;
}

static void count_all(const Mesh *m) {
    for (int64_t cell = 0; cell < m->cells; cell++) {
        m->x[cell] = cell % m->width;
        m->y[cell] = cell / m->width;
    }
    for (int64_t node = 0; node < m->nodes; node++) {
        int64_t cell = m->cell[node];
        m->slot[node] = m->count[cell];
        m->members[cell * m->nodes + m->count[cell]++] = node;
        for (int64_t r = 0; r < m->resources; r++)
            m->load[cell * m->resources + r] += m->size[node * m->resources + r];
    }
    for (int64_t net = 0; net < m->nets; net++) {
        for (int64_t j = m->begin[net]; j < m->begin[net + 1]; j++) {
            uint64_t bit, *column = row_bit(m, net, m->cell[m->pin[j]], &bit);
            m->pins[net * m->cells + m->cell[m->pin[j]]]++;
            *column |= bit;
        }
        int64_t start = m->cell[m->source[net]];
        m->tree[net] = links(m->column + net * m->width, m->width, m->x[start], m->y[start]);
    }
}

/* begin, pin, weight, of_begin, of_net, size, source, least, capacity, cell (changed), width, height,
   temperatures, moves of each, seed, uphill: see _run. */
API int64_t map_multicast(const Argument *a) {
    Mesh m = {a[5].rows, a[2].rows, a[5].columns, a[8].rows, a[10].integer, a[11].integer,
              a[0].data, a[1].data, a[2].data,    a[3].data, a[4].data,    a[5].data,
              a[6].data, a[7].data, a[8].data,    a[9].data};
    const double *temperatures = a[12].data, *uphill = a[15].data;
    int64_t moves = a[13].integer, nodes = m.nodes;
    uint64_t state = first_state(a[14].integer);
    Room room = {0};
    m.load = take(&room, m.cells * m.resources, 8);
    m.tree = take(&room, m.nets, 8);
    m.slot = take(&room, nodes, 8);
    m.members = take(&room, m.cells * nodes, 8);
    m.count = take(&room, m.cells, 8);
    m.x = take(&room, m.cells, 8);
    m.y = take(&room, m.cells, 8);
    m.pins = take(&room, m.nets * m.cells, 4);
    m.column = take(&room, m.nets * m.width, 8);
    int64_t *after = take(&room, 2 * m.nets, 8);
    if (room.failed) return leave(&room, 0);
    count_all(&m);
    for (int64_t stage = 0; stage < a[12].rows; stage++)
        for (int64_t move = 0; move < moves; move++) {
            double luck;
            int64_t to, b, node = drawn(&m, &state, move, uphill, &luck, &to, &b);
            if (node < 0) continue;
            int64_t change = change_of(&m, node, b, to, after), k = 0, from = m.cell[node];
            if (change > (int64_t)(temperatures[stage] * luck)) continue;
            int64_t i = m.of_begin[node], end = m.of_begin[node + 1];
            int64_t j = b < 0 ? 0 : m.of_begin[b], last = b < 0 ? 0 : m.of_begin[b + 1];
            while (i < end || j < last) {
                int64_t one = i < end ? m.of_net[i] : INT64_MAX;
                int64_t other = j < last ? m.of_net[j] : INT64_MAX, net = least(one, other);
                m.tree[net] = after[k++];
                i += one == net;
                j += other == net;
            }
            put(&m, node, to);
            if (b >= 0) put(&m, b, from);
        }
    return leave(&room, 0);
}
