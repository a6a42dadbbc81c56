// See kernels.h. Compiled with -DTROUPE_ISA=portable, avx2 or avx512 and the flags to match. No
// templates of the standard library here or in what is included: the linker could hand one set's
// code to another.

#include "kernels.h"

#include "attention.h"
#include "most.h"
#include "product.h"
#include "rows.h"

#define TROUPE_JOIN_(a, b) a##b
#define TROUPE_JOIN(a, b) TROUPE_JOIN_(a, b)
#define TROUPE_TEXT_(a) #a
#define TROUPE_TEXT(a) TROUPE_TEXT_(a)

namespace troupe {

extern const Kernels TROUPE_JOIN(kKernels_, TROUPE_ISA) = {
    TROUPE_TEXT(TROUPE_ISA), product, quantize, norm, add_normed, rotate, gelu_times, silu_times,
    store, attend, softcap, multiply, read};

}  // namespace troupe
