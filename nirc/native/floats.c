/* Populations of floating-point neurons, one step at a time: see nirc/native/floats.py and its
   definition, nirc/semantics/neuron.py. Every expression rounds as numpy's: no fused products. */
#include <math.h>
#include <stdint.h>

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

/* sum += gain (x + bias), with a gain for each group. x: (rows, n) with `stride` values from row to
   row, for all groups. bias: (n). */
API void add_driven(double *sum, const double *gain, const double *x, const double *bias,
                    int64_t stride, int64_t groups, int64_t rows, int64_t n) {
    for (int64_t g = 0; g < groups; g++)
        for (int64_t r = 0; r < rows; r++) {
            double *restrict to = sum + (g * rows + r) * n;
            const double *restrict from = x + r * stride;
            EACH to[k] = to[k] + gain[g] * (from[k] + bias[k]);
        }
}

/* echo = echo decay + signal, count += signal, off = (echo - target)^2. target: as x above. */
API void follow(double *echo, double *count, double *off, const double *signal,
                const double *target, double decay, int64_t stride, int64_t groups, int64_t rows,
                int64_t n) {
    for (int64_t g = 0; g < groups; g++)
        for (int64_t r = 0; r < rows; r++) {
            int64_t at = (g * rows + r) * n;
            double *restrict e = echo + at, *restrict c = count + at, *restrict o = off + at;
            const double *restrict now = signal + at, *restrict want = target + r * stride;
            EACH {
                e[k] = e[k] * decay + now[k];
                c[k] = c[k] + now[k];
                o[k] = (e[k] - want[k]) * (e[k] - want[k]);
            }
        }
}

/* The step of the grid of 2^-bits of the power of two above the largest magnitude of x (rows, n), as
   on_grid in nirc/ir/arrays.py has it. 0 for zeros, -1 if a value is not finite: no grid. */
static double step_of(const double *x, int64_t rows, int64_t stride, int64_t n, int bits) {
    double largest = 0;
    int finite = 1, exponent;
    for (int64_t r = 0; r < rows; r++) EACH {
        double size = fabs(x[r * stride + k]);
        finite &= size < INFINITY;
        largest = size > largest ? size : largest;
    }
    if (!finite) return -1;
    if (largest == 0) return 0;
    frexp(largest, &exponent);
    return ldexp(1.0, exponent - bits);
}

static double on_grid(double x, double step) { return step > 0 ? rint(x / step) * step : x; }

typedef struct {
    int64_t rows, n, sets, several, bits;
    double sharp;
    const double *threshold, *decay_mem, *gain_mem, *decay_syn, *gain_syn; /* (n), or NULL */
    const double *decay_syn_2, *gain_syn_2;
    double *v, *i, *i_2, *into; /* (rows, n) */
    double *drift;              /* (n): the sum over steps and rows */
} Backward;

/* One step back: see BackwardNeurons in nirc/calibration/gradients.py. slope, before, first, second:
   (rows, n) with `stride` values from row to row. */
API void step_back(const Backward *q, const double *slope, const double *before, double *first,
                  double *second, int64_t stride) {
    int64_t n = q->n;
    for (int64_t r = 0; r < q->rows; r++) {
        double *restrict v = q->v + r * n, *restrict into = q->into + r * n;
        const double *restrict by = slope + r * stride, *restrict at = before + r * stride;
        if (!q->threshold) EACH into[k] = v[k] + by[k];
        else EACH {
            double threshold = q->threshold[k], away = (at[k] - threshold) / threshold;
            double far = !q->several ? fabs(away) : away < 0 ? -away : 0.0;
            double wide = 1.0 + q->sharp * far;
            double kept = !q->sets ? v[k] : v[k] * (away <= 0 ? 1.0 : 0.0);
            into[k] = kept + by[k] / (threshold * (wide * wide));
        }
        EACH v[k] = into[k] * q->decay_mem[k];
        double *restrict one = first + r * stride, *restrict two = second + r * stride;
        EACH one[k] = two[k] = into[k] * q->gain_mem[k];
        if (q->decay_syn) {
            double *restrict i = q->i + r * n;
            EACH {
                double total = i[k] + one[k];
                i[k] = total * q->decay_syn[k];
                one[k] = total * q->gain_syn[k];
            }
        }
        if (q->decay_syn_2) {
            double *restrict i = q->i_2 + r * n;
            EACH {
                double total = i[k] + two[k];
                i[k] = total * q->decay_syn_2[k];
                two[k] = total * q->gain_syn_2[k];
            }
        }
    }
    double step = step_of(q->into, q->rows, n, n, (int)q->bits);
    EACH { /* exact on the grid: the order of the sum does not matter */
        double sum = 0;
        for (int64_t r = 0; r < q->rows; r++) sum += on_grid(q->into[r * n + k], step);
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
                EACH slope[r * stride + t * n + k] +=
                    on_grid(later[r * stride + k], step) * self[k];
        }
        step_back(q, slope + t * n, before + t * n, first + t * n, second + t * n, stride);
    }
}
