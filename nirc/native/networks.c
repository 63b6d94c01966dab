/* Networks of integer neurons, step by step, driven by spikes: see nirc/native/networks.py, which
   describes every array. All sums wrap around at 32 bits, as unsigned arithmetic does. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

typedef struct {
    /* Weights by line (an input channel or a neuron): runs of neighbouring places, then single
       places. */
    const int64_t *run_begin; /* (lines + 1) into the next three */
    const int32_t *run_place, *run_length;
    const int64_t *run_weight; /* the first weight of the run in `weight` */
    const int64_t *one_begin;  /* (lines + 1) into the next two */
    const int32_t *one_place, *one_weight;
    const void *weight; /* of the runs, in words of `bytes` */
    int64_t bytes;
} Synapses;

typedef struct {
    /* Sums of places that go to neighbouring entries of one due row. */
    int32_t place, length, due, lag, shift, wrap;
} Fold;

typedef struct {
    int32_t inputs, neurons, places, folds, depth, due_width;
    Synapses synapses;
    const Fold *fold;
} Network;

#define ADD_RUN(name, type)                                                                       \
    FAST static void name(uint32_t *restrict to, const type *restrict weight, int32_t n,          \
                          uint32_t count) {                                                       \
        if (count == 1)                                                                           \
            for (int32_t i = 0; i < n; i++) to[i] += (uint32_t)(int32_t)weight[i];                \
        else                                                                                      \
            for (int32_t i = 0; i < n; i++) to[i] += (uint32_t)(int32_t)weight[i] * count;        \
    }
ADD_RUN(add_bytes, int8_t)
ADD_RUN(add_shorts, int16_t)
ADD_RUN(add_words, int32_t)

static void deliver(const Synapses *s, int64_t line, uint32_t count, uint32_t *sum) {
    for (int64_t r = s->run_begin[line]; r < s->run_begin[line + 1]; r++) {
        uint32_t *to = sum + s->run_place[r];
        int64_t at = s->run_weight[r];
        int32_t n = s->run_length[r];
        if (s->bytes == 1) add_bytes(to, (const int8_t *)s->weight + at, n, count);
        else if (s->bytes == 2) add_shorts(to, (const int16_t *)s->weight + at, n, count);
        else add_words(to, (const int32_t *)s->weight + at, n, count);
    }
    for (int64_t i = s->one_begin[line]; i < s->one_begin[line + 1]; i++)
        sum[s->one_place[i]] += (uint32_t)s->one_weight[i] * count;
}

FAST static void fold(const Network *net, uint32_t *restrict sum, uint32_t *restrict due,
                      int64_t now) {
    for (int32_t k = 0; k < net->folds; k++) {
        const Fold *f = net->fold + k;
        uint32_t *to = due + (size_t)((now + f->lag) % net->depth) * net->due_width + f->due;
        uint32_t *from = sum + f->place;
        if (f->wrap) /* to 24 bits, after the shift */
            for (int32_t i = 0; i < f->length; i++)
                to[i] += (((from[i] << f->shift) + 0x800000u) & 0xffffffu) - 0x800000u;
        else if (f->shift >= 0)
            for (int32_t i = 0; i < f->length; i++) to[i] += from[i] << f->shift;
        else
            for (int32_t i = 0; i < f->length; i++)
                to[i] += (uint32_t)((int32_t)from[i] >> -f->shift);
    }
    memset(sum, 0, sizeof(uint32_t) * (size_t)net->places);
}

/* Loihi 2: backends/loihi2/rule.py. kept_u, kept_v: (4096 - loss) / 4096. */
typedef struct {
    const double *kept_u, *kept_v;
    const int32_t *bias, *threshold, *start;
} Loihi;

FAST static void loihi_step(int32_t n, const Loihi *p, const uint32_t *restrict due,
                            int32_t *restrict u, int32_t *restrict v, uint8_t *restrict fired) {
    const int32_t half = 1 << 23;
    for (int32_t i = 0; i < n; i++) {
        uint32_t total = (uint32_t)(int32_t)(u[i] * p->kept_u[i]) + (due[i] << 6);
        int32_t t = (int32_t)total;
        t = t > half ? t - 2 * half : t <= -half ? t + 2 * half : t;
        u[i] = t;
        uint32_t sum = (uint32_t)(int32_t)(v[i] * p->kept_v[i]) + (uint32_t)t + (uint32_t)p->bias[i];
        int32_t m = (int32_t)sum;
        m = m > half - 1 ? half - 1 : m < -(half - 1) ? -(half - 1) : m;
        uint8_t f = m > p->threshold[i];
        fired[i] = f;
        v[i] = f ? 0 : m;
    }
}

/* SpiNNaker2: backends/spinnaker2/rule.py. exc, inh: (neurons) or one current without decay. */
typedef struct {
    const float *alpha, *offset, *threshold, *reset, *start, *exc_decay, *inh_decay;
    const uint8_t *subtract, *filtered;
} Spin;

FAST static void spin_step(int32_t n, const Spin *p, const uint32_t *restrict due,
                           float *restrict exc, float *restrict inh, float *restrict v,
                           uint8_t *restrict fired) {
    for (int32_t i = 0; i < n; i++) {
        float first = (float)(int32_t)due[i], second = (float)(int32_t)due[n + i];
        float a = p->exc_decay[i] * exc[i] + first, b = p->inh_decay[i] * inh[i] + second;
        exc[i] = a;
        inh[i] = b;
        float drive = p->filtered[i] ? a + b : first;
        float m = p->alpha[i] * v[i] + drive + p->offset[i];
        uint8_t f = m >= p->threshold[i];
        float after = p->subtract[i] ? m - p->threshold[i] : p->reset[i];
        fired[i] = f;
        v[i] = f ? after : m;
    }
}

typedef struct {
    /* Recordings of all samples and steps; a null pointer is not kept. Outputs are columns: the
       spike, or the membrane, of a neuron. */
    int8_t *spikes;
    void *v;
    int32_t *u;
    int32_t columns;
    const int32_t *column;
    const uint8_t *column_fires;
    void *output;
} Record;

static int64_t events_of(const Network *net, const int32_t *raster, uint32_t *sum) {
    int64_t any = 0;
    for (int32_t c = 0; c < net->inputs; c++) {
        if (raster[c]) {
            deliver(&net->synapses, c, (uint32_t)raster[c], sum);
            any = 1;
        }
    }
    return any;
}

static int64_t spikes_of(const Network *net, const uint8_t *fired, uint32_t *sum) {
    int64_t any = 0;
    int32_t i = 0, n = net->neurons;
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, fired + i, 8);
        if (!word) continue;
        for (int32_t j = i; j < i + 8; j++)
            if (fired[j]) deliver(&net->synapses, net->inputs + j, 1u, sum);
        any = 1;
    }
    for (; i < n; i++)
        if (fired[i]) {
            deliver(&net->synapses, net->inputs + i, 1u, sum);
            any = 1;
        }
    return any;
}

/* Outputs that are the spikes of neighbouring neurons: `word` for a spike. */
FAST static void write_spikes(int32_t n, const uint8_t *restrict fired, uint32_t word,
                              uint32_t *restrict out) {
    for (int32_t i = 0; i < n; i++) out[i] = fired[i] ? word : 0;
}

static int is_run_of_spikes(const Record *record) {
    for (int32_t k = 0; k < record->columns; k++)
        if (!record->column_fires[k] || record->column[k] != record->column[0] + k) return 0;
    return record->columns > 0;
}

static void write_output(const Record *record, const uint8_t *fired, const char *v, uint32_t spike,
                         char *out) {
    for (int32_t k = 0; k < record->columns; k++) {
        int32_t c = record->column[k];
        uint32_t word = fired[c] ? spike : 0;
        memcpy(out + k * 4, record->column_fires[k] ? (char *)&word : v + (size_t)c * 4, 4);
    }
}

/* A step of a chip: neurons take what is due, and fire. The states are words of 4 bytes. */
typedef void Step(int32_t n, const void *parameters, const uint32_t *due, void *first, void *second,
                  void *v, uint8_t *fired);

/* In each step the states, then what inputs and spikes of this step send. raster: (samples, steps,
   inputs). start: v before the first step. spike: the word of a spike in the output. The first
   state is recorded as u. Returns 0, or -1 without memory. */
static int run(const Network *net, Step *step, const void *parameters, const void *start,
               uint32_t spike, const int32_t *raster, int64_t samples, int64_t steps,
               const Record *record) {
    int32_t n = net->neurons, neighbours = is_run_of_spikes(record);
    size_t wide = (size_t)net->depth * net->due_width, bytes = (size_t)n * 4;
    uint32_t *sum = calloc((size_t)net->places + 1, 4), *due = calloc(wide + 1, 4);
    char *first = calloc((size_t)n + 1, 4), *second = calloc((size_t)n + 1, 4);
    char *v = calloc((size_t)n + 1, 4);
    uint8_t *fired = calloc((size_t)n + 1, 1);
    int status = sum && due && first && second && v && fired ? 0 : -1;
    for (int64_t s = 0; !status && s < samples; s++) {
        memset(due, 0, wide * 4);
        memset(first, 0, bytes);
        memset(second, 0, bytes);
        memcpy(v, start, bytes);
        for (int64_t t = 0; t < steps; t++) {
            int64_t row = s * steps + t;
            uint32_t *now = due + (size_t)(t % net->depth) * net->due_width;
            step(n, parameters, now, first, second, v, fired);
            memset(now, 0, (size_t)net->due_width * 4);
            int64_t any = events_of(net, raster + row * net->inputs, sum);
            any |= spikes_of(net, fired, sum);
            if (any) fold(net, sum, due, t);
            if (record->spikes) memcpy(record->spikes + row * n, fired, (size_t)n);
            if (record->v) memcpy((char *)record->v + row * bytes, v, bytes);
            if (record->u) memcpy(record->u + row * n, first, bytes);
            char *out = (char *)record->output + row * record->columns * 4;
            if (neighbours)
                write_spikes(record->columns, fired + record->column[0], spike, (uint32_t *)out);
            else write_output(record, fired, v, spike, out);
        }
    }
    free(sum), free(due), free(first), free(second), free(v), free(fired);
    return status;
}

static void step_loihi(int32_t n, const void *parameters, const uint32_t *due, void *first,
                       void *second, void *v, uint8_t *fired) {
    (void)second;
    loihi_step(n, parameters, due, first, v, fired);
}

static void step_spin(int32_t n, const void *parameters, const uint32_t *due, void *first,
                      void *second, void *v, uint8_t *fired) {
    spin_step(n, parameters, due, first, second, v, fired);
}

API int run_loihi(const Network *net, const Loihi *p, const int32_t *raster, int64_t samples,
                  int64_t steps, const Record *record) {
    return run(net, step_loihi, p, p->start, 1, raster, samples, steps, record);
}

API int run_spinnaker2(const Network *net, const Spin *p, const int32_t *raster, int64_t samples,
                       int64_t steps, const Record *record) {
    const float one = 1.0f;
    uint32_t spike;
    memcpy(&spike, &one, 4);
    return run(net, step_spin, p, p->start, spike, raster, samples, steps, record);
}

/* Xylo: backends/xylo/rule.py. Sums saturate at 16 bits after each source, inputs first, then
   hidden neurons with their spikes of the step before. Places are synaptic states: one of each
   neuron, then the second of each hidden neuron. Without aliases. */
typedef struct {
    const int32_t *dash_syn, *dash_mem, *bias, *threshold, *most;
    const int32_t *hidden; /* one number */
} Xylo;

static inline int32_t clamp16(int32_t x) { return x > 32767 ? 32767 : x < -32768 ? -32768 : x; }

#define SATURATE_RUN(name, type)                                                                  \
    FAST static void name(int32_t *restrict to, const type *restrict weight, int32_t n,           \
                          int32_t count) {                                                        \
        for (int32_t i = 0; i < n; i++) {                                                         \
            int32_t x = to[i] + (int32_t)weight[i] * count;                                       \
            x = x > 32767 ? 32767 : x;                                                            \
            to[i] = x < -32768 ? -32768 : x;                                                      \
        }                                                                                         \
    }
SATURATE_RUN(saturate_bytes, int8_t)
SATURATE_RUN(saturate_shorts, int16_t)
SATURATE_RUN(saturate_words, int32_t)

static void saturate(const Synapses *s, int64_t line, int32_t count, int32_t *state) {
    for (int64_t r = s->run_begin[line]; r < s->run_begin[line + 1]; r++) {
        int32_t *to = state + s->run_place[r];
        int64_t at = s->run_weight[r];
        int32_t n = s->run_length[r];
        if (s->bytes == 1) saturate_bytes(to, (const int8_t *)s->weight + at, n, count);
        else if (s->bytes == 2) saturate_shorts(to, (const int16_t *)s->weight + at, n, count);
        else saturate_words(to, (const int32_t *)s->weight + at, n, count);
    }
    for (int64_t i = s->one_begin[line]; i < s->one_begin[line + 1]; i++)
        state[s->one_place[i]] = clamp16(state[s->one_place[i]] + s->one_weight[i] * count);
}

/* state (rows, n) gains counts (rows, sources) times weights, source by source: see saturated.py. */
API void add_saturated(const double *counts, int64_t rows, int64_t sources, int64_t n,
                       const int64_t *first, const int32_t *target, const int32_t *weight,
                       int32_t *state) {
    const double most = 65536;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < sources; k++) {
            double x = counts[r * sources + k];
            int64_t begin = first[k], length = first[k + 1] - begin;
            if (x == 0 || !length) continue;
            int32_t count = (int32_t)(x > most ? most : x < -most ? -most : x);
            int32_t *to = state + r * n, least = target[begin];
            if (target[begin + length - 1] - least == length - 1) {
                saturate_words(to + least, weight + begin, (int32_t)length, count);
                continue;
            }
            for (int64_t i = begin; i < begin + length; i++)
                to[target[i]] = clamp16(to[target[i]] + weight[i] * count);
        }
}

static inline int32_t xylo_leak(int32_t x, int32_t dash) {
    int32_t floored = x >> dash, least = x < 1 ? x : 1;
    return floored > least ? floored : least;
}

FAST static void xylo_synapses(int32_t n, const int32_t *restrict dash, int32_t *restrict isyn) {
    for (int32_t i = 0; i < n; i++) isyn[i] -= xylo_leak(isyn[i], dash[i]);
}

FAST static void xylo_membranes(int32_t n, int32_t second, const Xylo *p,
                                const int32_t *restrict isyn,
                                int32_t *restrict v, int32_t *restrict spikes) {
    for (int32_t i = 0; i < n; i++) {
        int32_t lost = (int16_t)(-xylo_leak(v[i], p->dash_mem[i]));
        int32_t current = isyn[i];
        if (i < second) current += isyn[n + i];
        v[i] = clamp16(v[i] + clamp16(clamp16(current + lost) + p->bias[i]));
        spikes[i] = v[i] >= p->threshold[i];
    }
}

/* The states are recorded of hidden neurons, then readouts; u is the synaptic states. */
API int run_xylo(const Network *net, const Xylo *p, const int32_t *raster, int64_t samples,
                 int64_t steps, const Record *record) {
    int32_t n = net->neurons, hidden = p->hidden[0], states = net->places;
    int32_t *isyn = calloc((size_t)states + 1, 4), *v = calloc((size_t)n + 1, 4);
    int32_t *spikes = calloc((size_t)n + 1, 4);
    int status = isyn && v && spikes ? 0 : -1;
    for (int64_t s = 0; !status && s < samples; s++) {
        memset(isyn, 0, (size_t)states * 4);
        memset(v, 0, (size_t)n * 4);
        memset(spikes, 0, (size_t)n * 4);
        for (int64_t t = 0; t < steps; t++) {
            int64_t row = s * steps + t;
            const int32_t *in = raster + row * net->inputs;
            for (int32_t c = 0; c < net->inputs; c++)
                if (in[c]) saturate(&net->synapses, c, in[c], isyn);
            for (int32_t i = 0; i < hidden; i++)
                if (spikes[i]) saturate(&net->synapses, net->inputs + i, spikes[i], isyn);
            xylo_synapses(states, p->dash_syn, isyn);
            xylo_membranes(n, states - n, p, isyn, v, spikes);
            for (int32_t i = 0; i < n; i++) {
                if (!spikes[i]) continue;
                int32_t count = v[i] / p->threshold[i];
                spikes[i] = count > p->most[i] ? p->most[i] : count;
                v[i] -= spikes[i] * p->threshold[i];
            }
            if (record->spikes)
                for (int32_t i = 0; i < n; i++) record->spikes[row * n + i] = (int8_t)spikes[i];
            if (record->v) memcpy((int32_t *)record->v + row * n, v, (size_t)n * 4);
            if (record->u) memcpy(record->u + row * states, isyn, (size_t)states * 4);
            int32_t *out = (int32_t *)record->output + row * record->columns;
            for (int32_t k = 0; k < record->columns; k++) out[k] = spikes[record->column[k]];
        }
    }
    free(isyn), free(v), free(spikes);
    return status;
}
