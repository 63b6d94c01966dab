/* A convolution of the pooled map. w[map][row][column] holds the weights to each map of the group
   that comes out. Every input is brought to the neurons that see it. */
typedef struct {
    int32_t maps, height, width, pool_y, pool_x;
    int32_t rows, columns, stride_y, stride_x, dilation_y, dilation_x, pad_y, pad_x;
    int32_t groups, out_maps, out_height, out_width;
} window;

/* Where tap k of an axis brings the input at place `at`, or -1. */
static int32_t seen(int32_t at, int32_t k, int32_t pad, int32_t dilation, int32_t stride,
                    int32_t size)
{
    int32_t to = at + pad - k * dilation;
    if (to < 0 || to % stride != 0 || to / stride >= size)
        return -1;
    return to / stride;
}

static void bring(const window *g, const weight *w, int32_t m, int32_t at_y, int32_t at_x,
                  int32_t n, int32_t *x)
{
    int32_t group_out = g->out_maps / g->groups, area = g->out_height * g->out_width;
    int32_t *group = x + m / (g->maps / g->groups) * group_out * area;
    int32_t ky, kx, o;
    for (ky = 0; ky < g->rows; ky++) {
        int32_t row = seen(at_y, ky, g->pad_y, g->dilation_y, g->stride_y, g->out_height);
        if (row < 0)
            continue;
        for (kx = 0; kx < g->columns; kx++) {
            int32_t column = seen(at_x, kx, g->pad_x, g->dilation_x, g->stride_x, g->out_width);
            const weight *tap = w + ((m * g->rows + ky) * g->columns + kx) * group_out;
            int32_t *to = group + row * g->out_width + column;
            if (column < 0)
                continue;
            for (o = 0; o < group_out; o++)
                to[o * area] += n * tap[o];
        }
    }
}

static void kernel(const window *g, const weight *w, const uint8_t *spikes, int32_t unit,
                   int32_t *x)
{
    int32_t m, i, j;
    for (m = 0; m < g->maps; m++)
        for (i = 0; i < g->height; i++)
            for (j = 0; j < g->width; j++, spikes++) {
                int32_t row = i / g->pool_y, column = j / g->pool_x;
                if (*spikes && row < g->height / g->pool_y && column < g->width / g->pool_x)
                    bring(g, w, m, row, column, *spikes * unit, x);
            }
}
