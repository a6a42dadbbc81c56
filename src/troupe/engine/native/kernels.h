// The inner loops of a step: integer products, norms, attention. `kernels.cpp` is compiled once an
// instruction set and fills one table of functions each; `step.cpp` takes the best at run time.
//
// Whatever the instruction set, a row's result is the same whichever rows stand beside it: products
// are of integers and exact, and sums of floats go in an order that the row alone decides.

#pragma once

#include <cstdint>

namespace troupe {

constexpr int kLanes = 16;  // outputs of a block of weights; tokens of a page
constexpr int kMaxHeads = 64;

// A matrix of `outputs` x `inputs` int8 weights, each plus 128, in blocks of 16 outputs: a block
// holds, for each four inputs, 16 outputs' four bytes. `scale[o]` times a weight is its value.
struct Matrix {
  const uint8_t* weights;
  const float* scale;
  int32_t inputs;   // a multiple of 4
  int32_t outputs;  // those beyond, up to a multiple of 16, have weights of zero
};

// Rows of int8 with a scale each; `sum` is the sum of a row's integers.
struct Rows {
  int8_t* data;
  float* scale;
  int32_t* sum;
  int32_t stride;
};

// Where one layer's keys and values lie: for page p and head g, at base + (p * heads + g) * stride,
// keys as a block (see Matrix: inputs are the head's dimensions, outputs the page's 16 tokens), then
// values as 16 rows of int8, then 16 scales of keys and 16 of values (float).
struct Cache {
  uint8_t* base;
  int64_t stride;
  int32_t heads;
  int32_t dim;
};

struct AttendArgs {
  const Cache* cache;
  const int32_t* pages;  // of the sequence, from position 0
  int32_t position;      // of the row
  int32_t window;        // positions that are seen, the row's own included
  int32_t heads;         // of queries, for each head of keys
  int32_t kv_head;
  const int8_t* queries;  // heads x dim
  const float* query_scale;
  const int32_t* query_sum;
  float* scores;  // scratch: heads x (context + 16)
  int64_t scores_stride;
  float* out;  // heads x dim
};

struct Kernels {
  const char* name;
  // out[m][o] = a row's product with an output's weights, for blocks of outputs first to last - 1.
  void (*product)(const Matrix&, const Rows&, int rows, float* out, int64_t stride, int first,
                  int last);
  // One row of floats to int8; `padded` >= count: the rest is zero.
  void (*quantize)(const float* x, int count, int padded, int8_t* out, float* scale, int32_t* sum);
  // out = x / rms(x) * weight (ones where null).
  void (*norm)(const float* x, const float* weight, int count, float eps, float* out);
  // x += y / rms(y) * weight, then x *= scalar.
  void (*add_normed)(float* x, const float* y, const float* weight, int count, float eps,
                     float scalar);
  // Turn the pairs (i, i + count / 2) of x.
  void (*rotate)(float* x, const float* cos, const float* sin, int count);
  // out = gelu(gate) * up, by the approximation with tanh.
  void (*gelu_times)(const float* gate, const float* up, int count, float* out);
  // out = silu(gate) * up.
  void (*silu_times)(const float* gate, const float* up, int count, float* out);
  void (*store)(const Cache&, int32_t page, int32_t slot, int32_t head, const float* key,
                const float* value);
  void (*attend)(const AttendArgs&);
  void (*softcap)(float* x, int64_t count, float cap);
  // For measuring: the most operations in so many rounds, and the fastest way through memory.
  int64_t (*multiply)(int64_t rounds);
  int64_t (*read)(const void* from, int64_t bytes);
};

extern const Kernels kKernels_portable;
#if defined(__x86_64__)
extern const Kernels kKernels_avx2;
extern const Kernels kKernels_avx512;
#endif

}  // namespace troupe
