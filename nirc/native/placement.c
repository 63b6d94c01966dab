/* Annealing of a placement: see nirc/mapping/placement/anneal.py. */
#include "mapping.h"

enum { NO_CELL = -2 };
static const double WANTED_RATE = 0.25;

/* Nodes on cells, and the generator. */
typedef struct {
    const int64_t *indptr, *weights, *beside;
    const int32_t *neighbours;
    int64_t nodes, besides, width, height, depth, *node_at, *at;
    uint64_t state;
} Board;

static Board board_of(const Argument *a) {
    return (Board){.indptr = a[0].data,
                   .neighbours = a[1].data,
                   .weights = a[2].data,
                   .node_at = a[3].data,
                   .at = a[4].data,
                   .beside = a[5].data,
                   .nodes = a[4].rows,
                   .besides = a[5].rows,
                   .width = a[6].integer,
                   .height = a[7].integer,
                   .depth = a[8].integer};
}

/* Temperatures, moves of each, and the results: cost and share of accepted moves by stage. */
typedef struct {
    const double *temperatures, *uphill;
    int64_t stages, per_stage, shrinks, seed, *change;
    double window, *rates;
} Schedule;

static Schedule schedule_of(const Argument *a) {
    return (Schedule){.temperatures = a[9].data,
                      .stages = a[9].rows,
                      .per_stage = a[10].integer,
                      .window = a[11].real,
                      .shrinks = a[12].integer,
                      .seed = a[13].integer,
                      .uphill = a[14].data,
                      .change = a[15].data,
                      .rates = a[16].data};
}

/* Draws the next move: a node, a cell (*x, *y, *z) and what is there (*b). Returns the node, or -1. */
static inline int64_t drawn(Board *q, int64_t move, int64_t reach, const double *uphill, double *luck,
                            int64_t *x, int64_t *y, int64_t *z, int64_t *b) {
    q->state = following(q->state);
    int64_t a = below(q->state >> 32, q->nodes), begin = q->indptr[a];
    int64_t degree = q->indptr[a + 1] - begin;
    const int64_t *at = q->at + 3 * a;
    *luck = uphill[q->state & 4095];
    q->state = following(q->state);
    if ((move & 1) && degree > 0) {
        int64_t to = q->neighbours[begin + below(q->state >> 32, degree)], other = to;
        const int64_t *step = q->beside + 3 * below(q->state & 0xFFFFFFFF, q->besides);
        q->state = following(q->state);
        if (q->state & 1) other = q->neighbours[begin + below(q->state >> 32, degree)];
        *x = q->at[3 * to] + step[0];
        *y = q->at[3 * other + 1] + step[1];
        *z = q->at[3 * to + 2] + step[2];
        if (*x < 0 || *y < 0 || *z < 0 || *x >= q->width || *y >= q->height || *z >= q->depth)
            return -1;
    } else {
        int64_t first = most(at[0] - reach, 0), last = least(at[0] + reach, q->width - 1);
        *x = first + below(q->state >> 32, last - first + 1);
        first = most(at[1] - reach, 0), last = least(at[1] + reach, q->height - 1);
        *y = first + below(q->state & 0xFFFFFFFF, last - first + 1);
        *z = at[2];
        if (q->depth > 1) {
            q->state = following(q->state);
            first = most(at[2] - reach, 0), last = least(at[2] + reach, q->depth - 1);
            *z = first + below(q->state >> 32, last - first + 1);
        }
    }
    *b = q->node_at[*x + q->width * (*y + q->height * *z)];
    return *b == a || *b == NO_CELL ? -1 : a;
}

/* Puts `a` on the cell, and its content `b` on the old cell of `a`. */
static void exchange(Board *q, int64_t a, int64_t b, int64_t x, int64_t y, int64_t z) {
    int64_t *at = q->at + 3 * a;
    q->node_at[at[0] + q->width * (at[1] + q->height * at[2])] = b;
    q->node_at[x + q->width * (y + q->height * z)] = a;
    if (b >= 0) memcpy(q->at + 3 * b, at, 3 * sizeof *at);
    at[0] = x, at[1] = y, at[2] = z;
}

static int64_t widest(const Board *q) { return most(most(q->width, q->height), q->depth) - 1; }

/* Ends a stage: notes its results, and narrows the window. */
static void end_stage(Schedule *s, const Board *q, int64_t stage, int64_t gain, int64_t accepted) {
    s->change[stage] = gain;
    s->rates[stage] = (double)accepted / (double)s->per_stage;
    if (!s->shrinks) return;
    double window = s->window * (1.0 + 0.1 * (s->rates[stage] - WANTED_RATE));
    if (window < 1.0) window = 1.0;
    s->window = (double)widest(q) < window ? (double)widest(q) : window;
}

/* The loop that reads costs from a table of T, int32_t or int64_t: see _run_by_table. */
#define BY_TABLE(NAME, ADD, T)                                                                     \
    FAST static void ADD(T *restrict row, T weight, const T *restrict step, int64_t n) {           \
        for (int64_t k = 0; k < n; k++) row[k] += weight * step[k];                                \
    }                                                                                              \
                                                                                                   \
    /* The cost of edges of weight[k] to coordinate k, added to a row: see fill. */                \
    FAST static void spread_##NAME(T *restrict row, const T *weight, const T *far, int64_t n) {    \
        for (int64_t k = 0; k < n; k++)                                                            \
            if (weight[k]) ADD(row, weight[k], far + k * n, n);                                    \
    }                                                                                              \
                                                                                                   \
    /* here: as long as a row. */                                                                  \
    FAST static void fill_##NAME(const Board *q, T *table, const T *far, int64_t columns,          \
                                 T *here) {                                                        \
        memset(table, 0, (size_t)(q->nodes * columns) * sizeof(T));                                \
        for (int64_t v = 0; v < q->nodes; v++) {                                                   \
            memset(here, 0, (size_t)columns * sizeof(T));                                          \
            for (int64_t j = q->indptr[v]; j < q->indptr[v + 1]; j++) {                            \
                const int64_t *at = q->at + 3 * (int64_t)q->neighbours[j];                         \
                T weight = (T)q->weights[j];                                                       \
                here[at[0]] += weight;                                                             \
                here[q->width + at[1]] += weight;                                                  \
                here[q->width + q->height + at[2]] += weight;                                      \
            }                                                                                      \
            spread_##NAME(table + v * columns, here, far, columns);                                \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    /* Neighbours of both `a` and `b` with equal weights keep their costs when both change places. \
       Rows of neighbours rise. */                                                                 \
    FAST static void update_##NAME(const Board *q, T *table, const T *step, int64_t columns,       \
                                   int64_t a, int64_t b) {                                         \
        int64_t i = q->indptr[a], last = q->indptr[a + 1];                                         \
        int64_t j = b < 0 ? 0 : q->indptr[b], end = b < 0 ? 0 : q->indptr[b + 1];                  \
        while (i < last || j < end) {                                                              \
            int64_t of_a = i < last ? q->neighbours[i] : q->nodes;                                 \
            int64_t of_b = j < end ? q->neighbours[j] : q->nodes;                                  \
            int64_t node = least(of_a, of_b), weight = 0;                                          \
            if (of_a == node) weight += q->weights[i++];                                           \
            if (of_b == node) weight -= q->weights[j++];                                           \
            if (weight) ADD(table + node * columns, (T)weight, step, columns);                     \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static int64_t NAME(Board *q, Schedule *s, T *table, const T *far, T *step) {                  \
        int64_t column_y = q->width, column_z = q->width + q->height;                              \
        int64_t columns = column_z + q->depth;                                                     \
        fill_##NAME(q, table, far, columns, step);                                                 \
        for (int64_t stage = 0; stage < s->stages; stage++) {                                      \
            int64_t accepted = 0, gain = 0, reach = most((int64_t)(s->window + 0.5), 1);           \
            for (int64_t move = 0; move < s->per_stage; move++) {                                  \
                double luck;                                                                       \
                int64_t x, y, z, b, a = drawn(q, move, reach, s->uphill, &luck, &x, &y, &z, &b);   \
                if (a < 0) continue;                                                               \
                int64_t ax = q->at[3 * a], ay = column_y + q->at[3 * a + 1];                       \
                int64_t az = column_z + q->at[3 * a + 2];                                          \
                y += column_y;                                                                     \
                z += column_z;                                                                     \
                const T *of_a = table + a * columns, *of_b = table + most(b, 0) * columns;         \
                int64_t old = (int64_t)of_a[ax] + of_a[ay] + of_a[az];                             \
                int64_t new = (int64_t)of_a[x] + of_a[y] + of_a[z];                                \
                if (b >= 0) {                                                                      \
                    old += (int64_t)of_b[x] + of_b[y] + of_b[z];                                   \
                    new += (int64_t)of_b[ax] + of_b[ay] + of_b[az];                                \
                }                                                                                  \
                int64_t allowed = old + (int64_t)(s->temperatures[stage] * luck);                  \
                if (new > allowed) continue;                                                       \
                if (b >= 0) { /* both costs lack the edge from a to b */                           \
                    for (int64_t j = q->indptr[a]; j < q->indptr[a + 1]; j++)                      \
                        if (q->neighbours[j] == b)                                                 \
                            new += 2 * q->weights[j] *                                             \
                                   ((int64_t)far[ax * columns + x] + far[ay * columns + y] +       \
                                    far[az * columns + z]);                                        \
                    if (new > allowed) continue;                                                   \
                }                                                                                  \
                gain += new - old;                                                                 \
                accepted++;                                                                        \
                exchange(q, a, b, x, y - column_y, z - column_z);                                  \
                for (int64_t k = 0; k < columns; k++) {                                            \
                    int64_t to = k < column_y ? x : k < column_z ? y : z;                          \
                    int64_t from = k < column_y ? ax : k < column_z ? ay : az;                     \
                    step[k] = far[to * columns + k] - far[from * columns + k];                     \
                }                                                                                  \
                update_##NAME(q, table, step, columns, a, b);                                      \
            }                                                                                      \
            end_stage(s, q, stage, gain, accepted);                                                \
        }                                                                                          \
        return 0;                                                                                  \
    }

BY_TABLE(by_narrow_table, add_narrow, int32_t)
BY_TABLE(by_wide_table, add_wide, int64_t)

static void begin_schedule(Schedule *s, Board *q) {
    q->state = first_state(s->seed);
    if ((double)widest(q) < s->window) s->window = (double)widest(q);
}

/* board, schedule, table, distances. */
API int64_t map_anneal_by_table(const Argument *a) {
    Board q = board_of(a);
    Schedule s = schedule_of(a);
    Room room = {0};
    void *step = take(&room, a[17].columns, 8);
    if (room.failed) return leave(&room, 0);
    begin_schedule(&s, &q);
    if (a[17].width == 4) by_narrow_table(&q, &s, a[17].data, a[18].data, step);
    else by_wide_table(&q, &s, a[17].data, a[18].data, step);
    return leave(&room, 0);
}

static inline int64_t apart(const int32_t *p, const int32_t *q) {
    return llabs((int64_t)p[0] - q[0]) + llabs((int64_t)p[1] - q[1]) + llabs((int64_t)p[2] - q[2]);
}

/* The cost of the edges of `node` at a place. A neighbour there costs 0. */
static inline int64_t cost_at(const Board *q, const int32_t *position, int64_t node,
                              const int32_t *place) {
    int64_t total = 0;
    for (int64_t j = q->indptr[node]; j < q->indptr[node + 1]; j++)
        total += q->weights[j] * apart(place, position + 4 * (int64_t)q->neighbours[j]);
    return total;
}

static void update_neighbours(const Board *q, const int32_t *position, int64_t *cost, int64_t node,
                              int64_t except, const int32_t *from, const int32_t *to) {
    for (int64_t j = q->indptr[node]; j < q->indptr[node + 1]; j++) {
        int64_t other = q->neighbours[j];
        if (other == except) continue;
        const int32_t *place = position + 4 * other;
        cost[other] += q->weights[j] * (apart(to, place) - apart(from, place));
    }
}

/* board, schedule, xs, ys, zs: see _run_by_edges. */
API int64_t map_anneal_by_edges(const Argument *arguments) {
    Board q = board_of(arguments);
    Schedule s = schedule_of(arguments);
    const int32_t *xs = arguments[17].data, *ys = arguments[18].data, *zs = arguments[19].data;
    Room room = {0};
    int32_t *position = take(&room, 4 * q.nodes, 4);
    int64_t *cost = take(&room, q.nodes, 8);
    if (room.failed) return leave(&room, 0);
    for (int64_t v = 0; v < q.nodes; v++) {
        position[4 * v] = xs[q.at[3 * v]];
        position[4 * v + 1] = ys[q.at[3 * v + 1]];
        position[4 * v + 2] = zs[q.at[3 * v + 2]];
    }
    for (int64_t v = 0; v < q.nodes; v++) cost[v] = cost_at(&q, position, v, position + 4 * v);
    begin_schedule(&s, &q);
    for (int64_t stage = 0; stage < s.stages; stage++) {
        int64_t accepted = 0, gain = 0, reach = most((int64_t)(s.window + 0.5), 1);
        for (int64_t move = 0; move < s.per_stage; move++) {
            double luck;
            int64_t x, y, z, b, a = drawn(&q, move, reach, s.uphill, &luck, &x, &y, &z, &b);
            if (a < 0) continue;
            int32_t from[3] = {position[4 * a], position[4 * a + 1], position[4 * a + 2]};
            int32_t to[3] = {xs[x], ys[y], zs[z]};
            int64_t allowed = cost[a] + (int64_t)(s.temperatures[stage] * luck);
            if (b >= 0) allowed += cost[b];
            int64_t new_a = cost_at(&q, position, a, to), new_b = 0, between = 0;
            if (new_a > allowed) continue;
            if (b >= 0) {
                new_b = cost_at(&q, position, b, from);
                if (new_a + new_b > allowed) continue;
                for (int64_t j = q.indptr[a]; j < q.indptr[a + 1]; j++)
                    if (q.neighbours[j] == b) between = q.weights[j] * apart(to, from);
                if (new_a + new_b + 2 * between > allowed) continue;
                gain += new_b + between - cost[b];
                update_neighbours(&q, position, cost, b, a, to, from);
                cost[b] = new_b + between;
            }
            gain += new_a + between - cost[a];
            update_neighbours(&q, position, cost, a, b, from, to);
            cost[a] = new_a + between;
            accepted++;
            exchange(&q, a, b, x, y, z);
            memcpy(position + 4 * a, to, sizeof to);
            if (b >= 0) memcpy(position + 4 * b, from, sizeof from);
        }
        end_stage(&s, &q, stage, gain, accepted);
    }
    return leave(&room, 0);
}

/* indptr, neighbours, weights, places, total: see _cost. Every edge stands in the rows of both. */
API int64_t map_placement_cost(const Argument *a) {
    const int64_t *indptr = a[0].data, *weights = a[2].data, *at = a[3].data;
    const int32_t *neighbours = a[1].data;
    int64_t total = 0;
    for (int64_t v = 0; v < a[3].rows; v++) {
        const int64_t *here = at + 3 * v;
        for (int64_t j = indptr[v]; j < indptr[v + 1]; j++) {
            if (neighbours[j] <= v) continue;
            const int64_t *there = at + 3 * (int64_t)neighbours[j];
            total += weights[j] * (llabs(here[0] - there[0]) + llabs(here[1] - there[1]) +
                                   llabs(here[2] - there[2]));
        }
    }
    *(int64_t *)a[4].data = total;
    return 0;
}
