/* All inputs to all neurons. The weights of an input stand side by side. */
static void dense(const weight *w, int32_t n_in, int32_t n_out, const uint8_t *spikes,
                  int32_t unit, int32_t *x)
{
    int32_t i, j;
    for (j = 0; j < n_in; j++, w += n_out) {
        int32_t n = spikes[j] * unit;
        if (n == 0)
            continue;
        for (i = 0; i < n_out; i++)
            x[i] += n * w[i];
    }
}
