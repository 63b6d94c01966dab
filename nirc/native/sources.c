/* The number of the sources that this library is built from, by setup.py: see library.py. */
#include <stdint.h>

#include "kernels.h"

API const uint32_t built_from = SOURCES;
