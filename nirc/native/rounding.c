/* Rounding of weights: see backends/spinnaker2/scales.py. */
#include <math.h>

#include "mapping.h"

/* Adds the squared error of a value at each scale. */
FAST static void add_errors(double value, const double *restrict scale, double *restrict total,
                            int64_t scales) {
    for (int64_t k = 0; k < scales; k++) {
        double wrong = rint(value * scale[k]) / scale[k] - value;
        total[k] += wrong * wrong;
    }
}

/* value (entries), scale (rows, scales), ends (rows + 1), error (rows, scales, out). */
API int64_t map_row_errors(const Argument *a) {
    const double *value = a[0].data, *scale = a[1].data;
    const int64_t *ends = a[2].data;
    double *error = a[3].data;
    int64_t rows = a[1].rows, scales = a[1].columns;
    memset(error, 0, (size_t)(rows * scales) * sizeof *error);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = ends[row]; i < ends[row + 1]; i++)
            add_errors(value[i], scale + row * scales, error + row * scales, scales);
    return 0;
}
