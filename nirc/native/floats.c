/* Populations of floating-point neurons, one step at a time: see nirc/native/floats.py and its
   definition, nirc/semantics/neuron.py. Every expression rounds as numpy's: no fused products. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

enum { DECAY_I, DECAY_V, ADD_X_I, ADD_X_V, ADD_I_V, FIRE_GE, FIRE_GT, SUBTRACT, SET, RESTORE, BOUND, EMIT };

typedef struct {
    int64_t groups, rows, n; /* states have the shape (groups, rows, n) */
    int64_t block;           /* rows that are stepped at once */
    int64_t operations;
    const int32_t *operation;
    double *v, *i, *i_2, *spikes, *earlier, *before, *sent; /* i_2: may be NULL */
    const double *x, *second;                               /* second: may be NULL */
    /* (groups, block, n) each, NULL where a factor is 1 or a term is absent */
    const double *decay_mem, *gain_mem, *drift, *decay_syn, *gain_syn, *decay_syn_2, *gain_syn_2;
    const double *threshold, *v_reset, *v_least;
    double grain, most;                          /* 0: no grain. most: spikes in a step */
} Population;

#define EACH for (int64_t k = 0; k < n; k++)

FAST static void cut(double *restrict s, double grain, int64_t n) {
    EACH s[k] = trunc(s[k] / grain) * grain;
}

FAST static void scale(double *restrict s, const double *restrict by, int64_t n) {
    EACH s[k] = by[k] * s[k];
}

FAST static void add(double *restrict s, const double *restrict x, const double *restrict gain,
                     int64_t n) {
    if (gain) EACH s[k] = s[k] + gain[k] * x[k];
    else EACH s[k] = s[k] + x[k];
}

FAST static void add_both(double *restrict s, const double *restrict a, const double *restrict b,
                          const double *restrict gain, int64_t n) {
    if (gain) EACH s[k] = s[k] + gain[k] * (a[k] + b[k]);
    else EACH s[k] = s[k] + (a[k] + b[k]);
}

FAST static void fire(const double *restrict v, const double *restrict threshold,
                      double *restrict spikes, int equal, double most, int64_t n) {
    if (equal) EACH spikes[k] = v[k] >= threshold[k] ? 1.0 : 0.0;
    else EACH spikes[k] = v[k] > threshold[k] ? 1.0 : 0.0;
    if (most != 1)
        EACH if (spikes[k] > 0) {
            double count = floor(v[k] / (threshold[k] > 0 ? threshold[k] : INFINITY));
            spikes[k] = count < 1 ? 1.0 : count > most ? most : count;
        }
}

FAST static void subtract(double *restrict v, const double *restrict spikes,
                          const double *restrict threshold, int64_t n) {
    EACH v[k] = v[k] - spikes[k] * threshold[k];
}

FAST static void restore(double *restrict v, const double *restrict spikes,
                         const double *restrict threshold, int64_t n) {
    EACH v[k] = v[k] + spikes[k] * threshold[k];
}

FAST static void set(double *restrict v, const double *restrict spikes,
                     const double *restrict v_reset, int64_t n) {
    EACH v[k] = spikes[k] > 0 ? v_reset[k] : v[k];
}

FAST static void bound(double *restrict v, const double *restrict least, int64_t n) {
    EACH v[k] = v[k] < least[k] ? least[k] : v[k];
}

FAST static void copy(double *restrict to, const double *restrict from, int64_t n) {
    EACH to[k] = from[k];
}

/* One step of n neighbouring neurons. The offsets: s of states, p of parameters. */
static void step(const Population *q, int64_t s, int64_t p, int64_t n) {
    double *v = q->v + s, *i = q->i + s, *i_2 = q->i_2 ? q->i_2 + s : 0;
    double *spikes = q->spikes + s;
#define AT(name) (q->name ? q->name + p : 0)
    for (int64_t o = 0; o < q->operations; o++) switch (q->operation[o]) {
            case DECAY_I:
                if (q->decay_syn) scale(i, q->decay_syn + p, n);
                else EACH i[k] = 0;
                if (q->decay_syn && q->grain != 0) cut(i, q->grain, n);
                if (i_2) scale(i_2, q->decay_syn_2 + p, n);
                if (i_2 && q->grain != 0) cut(i_2, q->grain, n);
                break;
            case DECAY_V:
                if (q->decay_mem) scale(v, q->decay_mem + p, n);
                if (q->decay_mem && q->grain != 0) cut(v, q->grain, n);
                if (q->drift) add(v, q->drift + p, 0, n);
                break;
            case ADD_X_I:
                add(i, q->x + s, AT(gain_syn), n);
                if (i_2 && q->second) add(i_2, q->second + s, AT(gain_syn_2), n);
                break;
            case ADD_X_V: add(v, q->x + s, AT(gain_mem), n); break;
            case ADD_I_V:
                if (i_2) add_both(v, i, i_2, AT(gain_mem), n);
                else add(v, i, AT(gain_mem), n);
                break;
            case FIRE_GE:
            case FIRE_GT:
                copy(q->before + s, v, n);
                copy(q->earlier + s, spikes, n);
                fire(v, q->threshold + p, spikes, q->operation[o] == FIRE_GE, q->most, n);
                break;
            case SUBTRACT: subtract(v, spikes, q->threshold + p, n); break;
            case RESTORE: restore(v, q->earlier + s, q->threshold + p, n); break;
            case SET: set(v, spikes, q->v_reset + p, n); break;
            case BOUND: bound(v, q->v_least + p, n); break;
            case EMIT: copy(q->sent + s, q->threshold ? spikes : v, n); break;
        }
}

API void step_population(const Population *q) {
    for (int64_t g = 0; g < q->groups; g++)
        for (int64_t r = 0; r < q->rows; r += q->block) {
            int64_t rows = q->rows - r < q->block ? q->rows - r : q->block;
            step(q, (g * q->rows + r) * q->n, g * q->block * q->n, rows * q->n);
        }
}

/* All steps of one group. first, second (may be NULL), signal, before: (rows, steps, n). self: (n)
   weights of synapses of each neuron to itself with a lag of one step, or NULL. emits: 0 if the
   membrane is sent at the end of the step. x: (rows, n) of memory. */
API void run_population(const Population *q, int64_t steps, const double *first,
                        const double *second, const double *self, double *signal, double *before,
                        double *x, int64_t emits) {
    int64_t n = q->n;
    Population one = *q;
    one.x = x;
    for (int64_t r = 0; r < q->rows; r++) {
        double *sent = q->sent + r * n;
        for (int64_t t = 0; t < steps; t++) {
            int64_t at = (r * steps + t) * n;
            if (self && t) EACH x[r * n + k] = first[at + k] + sent[k] * self[k];
            else copy(x + r * n, first + at, n);
            one.second = second ? second + at - r * n : 0;
            step(&one, r * n, 0, n);
            if (!emits) copy(sent, q->v + r * n, n);
            copy(signal + at, sent, n);
            copy(before + at, q->before + r * n, n);
        }
    }
}

typedef struct {
    int64_t edges, steps, emits;
    const double *const *drive; /* of each edge: (rows, steps, n) */
    const double *const *bias;  /* (steps, n) */
    const double *gain;         /* (groups, edges) */
    const int64_t *second;      /* (edges) 1: for the second receptor */
    const double *inhibition;   /* (groups, n) of a neuron by its last signal, or NULL */
    const double *start;        /* (n) membranes at the start, or NULL: 0 */
    const double *echoes;       /* (rows, steps, n) that are wanted */
    const double *counts;       /* (rows, n) that are wanted */
    double decay, unit, count_unit;
    double *x, *second_x, *echo, *count, *off; /* (block, n) each; second_x may be NULL */
} Search;

FAST static void add_driven(double *restrict to, const double *restrict x,
                            const double *restrict bias, double gain, int64_t n) {
    EACH to[k] = to[k] + gain * (x[k] + bias[k]);
}

FAST static void inhibit(double *restrict to, const double *restrict by, const double *restrict sent,
                         int64_t n) {
    EACH to[k] = to[k] - by[k] * sent[k];
}

FAST static void follow(double *restrict echo, double *restrict count, double *restrict off,
                        const double *restrict now, const double *restrict want, double decay,
                        int64_t n) {
    EACH {
        echo[k] = echo[k] * decay + now[k];
        count[k] = count[k] + now[k];
        off[k] = off[k] + (echo[k] - want[k]) * (echo[k] - want[k]);
    }
}

static void start_group(const Population *q, const Search *s, int64_t at, int64_t rows) {
    size_t bytes = (size_t)(rows * q->n) * sizeof(double);
    double *states[] = {q->i + at, q->i_2 ? q->i_2 + at : 0, q->v + at, q->spikes + at,
                        q->earlier + at, s->echo, s->count, s->off};
    for (size_t k = 0; k < sizeof states / sizeof *states; k++)
        if (states[k]) memset(states[k], 0, bytes);
    if (s->start)
        for (int64_t r = 0; r < rows; r++) copy(q->v + at + r * q->n, s->start, q->n);
}

static void gather_drives(const Search *s, int64_t g, int64_t row, int64_t rows, int64_t t, int64_t n) {
    size_t bytes = (size_t)(rows * n) * sizeof(double);
    memset(s->x, 0, bytes);
    if (s->second_x) memset(s->second_x, 0, bytes);
    for (int64_t e = 0; e < s->edges; e++)
        for (int64_t r = 0; r < rows; r++)
            add_driven((s->second[e] ? s->second_x : s->x) + r * n,
                       s->drive[e] + ((row + r) * s->steps + t) * n, s->bias[e] + t * n,
                       s->gain[g * s->edges + e], n);
}

/* Runs rows of all samples, from `row` on, through the groups in `active`, and adds their distances
   to errors (groups): see Search.errors in nirc/calibration/gains.py. q has `rows` or more rows. */
API void search_rows(const Population *q, const Search *s, int64_t row, int64_t rows,
                     const int64_t *active, int64_t groups, double *errors) {
    int64_t n = q->n;
    for (int64_t a = 0; a < groups; a++) {
        int64_t g = active[a], at = g * q->rows * n;
        Population one = *q;
        one.x = s->x - at;
        one.second = s->second_x ? s->second_x - at : 0;
        start_group(q, s, at, rows);
        for (int64_t t = 0; t < s->steps; t++) {
            gather_drives(s, g, row, rows, t, n);
            if (s->inhibition && t)
                for (int64_t r = 0; r < rows; r++)
                    inhibit(s->x + r * n, s->inhibition + g * n, q->sent + at + r * n, n);
            step(&one, at, g * q->block * n, rows * n);
            if (!s->emits) copy(q->sent + at, q->v + at, rows * n);
            for (int64_t r = 0; r < rows; r++)
                follow(s->echo + r * n, s->count + r * n, s->off + r * n, q->sent + at + r * n,
                       s->echoes + ((row + r) * s->steps + t) * n, s->decay, n);
        }
        for (int64_t r = 0; r < rows; r++) {
            double off = 0, by_count = 0;
            EACH {
                double more = s->count[r * n + k] - s->counts[(row + r) * n + k];
                off += s->off[r * n + k];
                by_count += more * more;
            }
            errors[g] += off / s->unit + by_count / s->count_unit;
        }
    }
}

#define SMALLEST_STEP 0x1p-1000

/* The largest magnitude of n values, or of `most`. Not finite if a value is not. */
FAST static double largest(const double *restrict x, int64_t n, double most) {
    int64_t bits, top; /* magnitudes rise with their bits */
    memcpy(&top, &most, sizeof top);
    EACH {
        memcpy(&bits, x + k, sizeof bits);
        bits &= INT64_MAX;
        top = bits > top ? bits : top;
    }
    memcpy(&most, &top, sizeof most);
    return most;
}

/* The step of the grid of 2^-bits of the power of two above the largest magnitude of x (rows, n), as
   on_grid in nirc/ir/arrays.py has it. 0 for zeros, -1 if a value is not finite: no grid. */
static double step_of(const double *x, int64_t rows, int64_t stride, int64_t n, int bits) {
    double most = 0;
    int exponent;
    for (int64_t r = 0; r < rows; r++) most = largest(x + r * stride, n, most);
    if (!(most < INFINITY)) return -1;
    if (most == 0) return 0;
    frexp(most, &exponent);
    return ldexp(1.0, exponent - bits);
}

/* sum += x rounded to multiples of step, times by (NULL: 1). */
FAST static void add_rounded(double *restrict sum, const double *restrict x,
                             const double *restrict by, double step, int64_t n) {
    double inverse = 1 / step; /* a power of two, as step is */
    if (step < SMALLEST_STEP) {
        if (by) EACH sum[k] += (step > 0 ? rint(x[k] / step) * step : x[k]) * by[k];
        else EACH sum[k] += step > 0 ? rint(x[k] / step) * step : x[k];
    } else if (by) EACH sum[k] += rint(x[k] * inverse) * step * by[k];
    else EACH sum[k] += rint(x[k] * inverse) * step;
}

typedef struct {
    int64_t rows, n, sets, several, bits;
    double sharp;
    const double *threshold, *decay_mem, *gain_mem, *decay_syn, *gain_syn; /* (n), or NULL */
    const double *decay_syn_2, *gain_syn_2;
    double *v, *i, *i_2, *into; /* (rows, n) */
    double *drift;              /* (n): the sum over steps and rows, or NULL */
} Backward;

/* The slope by the membrane before the reset, of one row. */
FAST static void through_spike(const Backward *q, const double *restrict v,
                               const double *restrict by, const double *restrict at,
                               double *restrict into, int64_t n) {
    const double *restrict threshold = q->threshold;
    double sharp = q->sharp;
    if (!threshold) EACH into[k] = v[k] + by[k];
    else EACH {
        double away = (at[k] - threshold[k]) / threshold[k];
        double far = !q->several ? fabs(away) : away < 0 ? -away : 0.0;
        double wide = 1.0 + sharp * far;
        double kept = !q->sets ? v[k] : v[k] * (away <= 0 ? 1.0 : 0.0);
        into[k] = kept + by[k] / (threshold[k] * (wide * wide));
    }
}

FAST static void times(double *restrict to, const double *restrict a, const double *restrict b,
                       int64_t n) {
    EACH to[k] = a[k] * b[k];
}

/* The filter of a receptor back: now (n) is the slope by its current, then by its input. */
FAST static void through_filter(double *restrict i, double *restrict now,
                                const double *restrict decay, const double *restrict gain, int64_t n) {
    EACH {
        double total = i[k] + now[k];
        i[k] = total * decay[k];
        now[k] = total * gain[k];
    }
}

/* One step back: see BackwardNeurons in nirc/calibration/gradients.py. slope, before, first, second
   (may be NULL): (rows, n) with `stride` values from row to row. */
API void step_back(const Backward *q, const double *slope, const double *before, double *first,
                   double *second, int64_t stride) {
    int64_t n = q->n;
    for (int64_t r = 0; r < q->rows; r++) {
        double *v = q->v + r * n, *into = q->into + r * n, *one = first + r * stride;
        double *two = second ? second + r * stride : 0;
        through_spike(q, v, slope + r * stride, before + r * stride, into, n);
        times(v, into, q->decay_mem, n);
        times(one, into, q->gain_mem, n);
        if (two) copy(two, one, n);
        if (q->decay_syn) through_filter(q->i + r * n, one, q->decay_syn, q->gain_syn, n);
        if (two && q->decay_syn_2)
            through_filter(q->i_2 + r * n, two, q->decay_syn_2, q->gain_syn_2, n);
    }
    if (!q->drift) return;
    double step = step_of(q->into, q->rows, n, n, (int)q->bits);
    if (step > 0) /* exact: the order of the sum does not matter */
        for (int64_t r = 0; r < q->rows; r++) add_rounded(q->drift, q->into + r * n, 0, step, n);
    else EACH {
        double sum = 0;
        for (int64_t r = 0; r < q->rows; r++) sum += q->into[r * n + k];
        q->drift[k] += sum;
    }
}

/* All steps back. slope, before, first, second: (rows, steps, n). self: as in run_population. */
API void run_back(const Backward *q, int64_t steps, double *slope, const double *before,
                  double *first, double *second, const double *self) {
    int64_t n = q->n, stride = steps * n;
    for (int64_t t = steps - 1; t >= 0; t--) {
        if (self && t + 1 < steps) {
            const double *later = first + (t + 1) * n;
            double step = step_of(later, q->rows, stride, n, (int)q->bits);
            for (int64_t r = 0; r < q->rows; r++)
                add_rounded(slope + r * stride + t * n, later + r * stride, self, step, n);
        }
        step_back(q, slope + t * n, before + t * n, first + t * n, second ? second + t * n : 0,
                  stride);
    }
}

FAST static void echo(double *restrict now, const double *restrict x, double decay, int64_t n) {
    EACH now[k] = now[k] * decay + x[k];
}

FAST static void minus(double *restrict to, const double *restrict a, const double *restrict b,
                       int64_t n) {
    EACH to[k] = a[k] - b[k];
}

FAST static void minus_bytes(double *restrict to, const double *restrict a,
                             const uint8_t *restrict b, int64_t n) {
    EACH to[k] = a[k] - (double)b[k];
}

/* slope (rows, steps, n) = factor times the traces, back in time, of the traces of signal minus
   reference. One of bytes and doubles is the reference, the other NULL. now: (n) of memory. */
API void trace_slopes(const double *signal, const uint8_t *bytes, const double *doubles,
                      int64_t rows, int64_t steps, int64_t n, double decay, double factor,
                      double *slope, double *now) {
    for (int64_t r = 0; r < rows; r++) {
        memset(now, 0, (size_t)n * sizeof *now);
        for (int64_t t = 0; t < steps; t++) {
            int64_t at = (r * steps + t) * n;
            if (bytes) minus_bytes(slope + at, signal + at, bytes + at, n);
            else minus(slope + at, signal + at, doubles + at, n);
            echo(now, slope + at, decay, n);
            copy(slope + at, now, n);
        }
        memset(now, 0, (size_t)n * sizeof *now);
        for (int64_t t = steps - 1; t >= 0; t--) {
            double *at = slope + (r * steps + t) * n;
            echo(now, at, decay, n);
            EACH at[k] = now[k] * factor;
        }
    }
}
