/* Synapses one by one. Those of input j are first[j] up to first[j + 1]. */
static void list(const uint32_t *first, const neuron *target, const weight *w, int32_t n_in,
                 const uint8_t *spikes, int32_t unit, int32_t *x)
{
    int32_t j;
    uint32_t k;
    for (j = 0; j < n_in; j++) {
        int32_t n = spikes[j] * unit;
        if (n == 0)
            continue;
        for (k = first[j]; k < first[j + 1]; k++)
            x[target[k]] += n * w[k];
    }
}
