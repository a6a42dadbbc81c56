// See kernels.h. Compiled with -DTROUPE_ISA=portable, avx2 or avx512 and the flags to match. No
// templates of the standard library here: the linker could hand one set's code to another.

#include "kernels.h"

#include <cmath>
#include <cstring>

#if defined(__AVX512VNNI__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#define TROUPE_JOIN_(a, b) a##b
#define TROUPE_JOIN(a, b) TROUPE_JOIN_(a, b)
#define TROUPE_TEXT_(a) #a
#define TROUPE_TEXT(a) TROUPE_TEXT_(a)

namespace troupe {
namespace {

// Integer products of M rows with NB blocks of 16 outputs: out[m][b][16].
template <int M, int NB>
inline void block_products(const uint8_t* const* weights, const int8_t* const* rows, int quads,
                           int32_t* out) {
#if defined(__AVX512VNNI__)
  __m512i sums[M][NB];
  for (int m = 0; m < M; m++)
    for (int b = 0; b < NB; b++) sums[m][b] = _mm512_setzero_si512();
  for (int q = 0; q < quads; q++) {
    __m512i w[NB];
    for (int b = 0; b < NB; b++) w[b] = _mm512_loadu_si512(weights[b] + 64 * q);
    for (int m = 0; m < M; m++) {
      int32_t four;
      std::memcpy(&four, rows[m] + 4 * q, 4);
      const __m512i a = _mm512_set1_epi32(four);
      for (int b = 0; b < NB; b++) sums[m][b] = _mm512_dpbusd_epi32(sums[m][b], w[b], a);
    }
  }
  for (int m = 0; m < M; m++)
    for (int b = 0; b < NB; b++) _mm512_storeu_si512(out + (m * NB + b) * 16, sums[m][b]);
#elif defined(__AVX2__)
  // Bytes are widened to 16 bits first: the 8-bit multiply-add of AVX2 saturates.
  const __m256i zero = _mm256_setzero_si256();
  for (int m = 0; m < M; m++) {
    for (int b = 0; b < NB; b++) {
      __m256i low[2] = {zero, zero}, high[2] = {zero, zero};
      for (int q = 0; q < quads; q++) {
        int32_t four;
        std::memcpy(&four, rows[m] + 4 * q, 4);
        const __m256i a = _mm256_cvtepi8_epi16(_mm_set1_epi32(four));
        for (int half = 0; half < 2; half++) {
          const __m256i w = _mm256_loadu_si256(
              reinterpret_cast<const __m256i*>(weights[b] + 64 * q + 32 * half));
          low[half] = _mm256_add_epi32(
              low[half], _mm256_madd_epi16(_mm256_unpacklo_epi8(w, zero), a));
          high[half] = _mm256_add_epi32(
              high[half], _mm256_madd_epi16(_mm256_unpackhi_epi8(w, zero), a));
        }
      }
      for (int half = 0; half < 2; half++)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + (m * NB + b) * 16 + 8 * half),
                            _mm256_hadd_epi32(low[half], high[half]));
    }
  }
#else
  for (int m = 0; m < M; m++) {
    for (int b = 0; b < NB; b++) {
      int32_t sums[16] = {};
      for (int q = 0; q < quads; q++) {
        const int8_t* a = rows[m] + 4 * q;
        const uint8_t* w = weights[b] + 64 * q;
        for (int lane = 0; lane < 16; lane++)
          for (int i = 0; i < 4; i++) sums[lane] += int32_t(w[4 * lane + i]) * a[i];
      }
      std::memcpy(out + (m * NB + b) * 16, sums, sizeof sums);
    }
  }
#endif
}

template <int M, int NB>
inline void product_tile(const Matrix& matrix, const Rows& rows, int m0, int block, float* out,
                         int64_t stride) {
  const int quads = matrix.inputs / 4;
  const uint8_t* weights[NB];
  const int8_t* data[M];
  for (int b = 0; b < NB; b++) weights[b] = matrix.weights + int64_t(block + b) * quads * 64;
  for (int m = 0; m < M; m++) data[m] = rows.data + int64_t(m0 + m) * rows.stride;
  alignas(64) int32_t sums[M * NB * 16];
  block_products<M, NB>(weights, data, quads, sums);
  for (int m = 0; m < M; m++) {
    const float scale = rows.scale[m0 + m];
    const int32_t offset = 128 * rows.sum[m0 + m];
    for (int b = 0; b < NB; b++) {
      const int first = (block + b) * 16;
      const int count = matrix.outputs - first < 16 ? matrix.outputs - first : 16;
      float* to = out + (m0 + m) * stride + first;
      const int32_t* from = sums + (m * NB + b) * 16;
      if (count == 16) {
        for (int i = 0; i < 16; i++)
          to[i] = float(from[i] - offset) * (scale * matrix.scale[first + i]);
      } else {
        for (int i = 0; i < count; i++)
          to[i] = float(from[i] - offset) * (scale * matrix.scale[first + i]);
      }
    }
  }
}

// The last few rows, in tiles of the largest powers of two.
template <int NB>
inline void product_rows(const Matrix& matrix, const Rows& rows, int count, float* out,
                         int64_t stride, int block) {
  int m = 0;
  for (; m + 8 <= count; m += 8) product_tile<8, NB>(matrix, rows, m, block, out, stride);
  if (count - m >= 4) {
    product_tile<4, NB>(matrix, rows, m, block, out, stride);
    m += 4;
  }
  if (count - m >= 2) {
    product_tile<2, NB>(matrix, rows, m, block, out, stride);
    m += 2;
  }
  if (count - m >= 1) product_tile<1, NB>(matrix, rows, m, block, out, stride);
}

void product(const Matrix& matrix, const Rows& rows, int count, float* out, int64_t stride,
             int first, int last) {
  int block = first;
  if (count == 1)  // as many sums at once as hide the multiplier's latency
    for (; block + 8 <= last; block += 8)
      product_tile<1, 8>(matrix, rows, 0, block, out, stride);
  if (count <= 4)
    for (; block + 4 <= last; block += 4)
      product_rows<4>(matrix, rows, count, out, stride, block);
  for (; block + 2 <= last; block += 2) product_rows<2>(matrix, rows, count, out, stride, block);
  if (block < last) product_rows<1>(matrix, rows, count, out, stride, block);
}

// Sums go in 16 lanes, added up in one order: the same on every instruction set.
inline float add_up(const float* lanes) {
  float eight[8], four[4];
  for (int i = 0; i < 8; i++) eight[i] = lanes[i] + lanes[i + 8];
  for (int i = 0; i < 4; i++) four[i] = eight[i] + eight[i + 4];
  return (four[0] + four[2]) + (four[1] + four[3]);
}

inline float sum_of_squares(const float* x, int count) {
  float lanes[16] = {};
  int i = 0;
  for (; i + 16 <= count; i += 16)
    for (int l = 0; l < 16; l++) lanes[l] += x[i + l] * x[i + l];
  for (int l = 0; i + l < count; l++) lanes[l] += x[i + l] * x[i + l];
  return add_up(lanes);
}

inline float largest(const float* x, int count) {  // of the magnitudes
  float lanes[16] = {};
  int i = 0;
  for (; i + 16 <= count; i += 16)
    for (int l = 0; l < 16; l++) {
      const float size = std::fabs(x[i + l]);
      lanes[l] = size > lanes[l] ? size : lanes[l];
    }
  for (int l = 0; i + l < count; l++) {
    const float size = std::fabs(x[i + l]);
    lanes[l] = size > lanes[l] ? size : lanes[l];
  }
  float most = 0.0f;
  for (float lane : lanes) most = lane > most ? lane : most;
  return most;
}

// To the nearest integer, ties to even, for |x| < 2^22.
inline float rounded(float x) {
  constexpr float kMagic = 12582912.0f;
  return (x + kMagic) - kMagic;
}

void quantize(const float* x, int count, int padded, int8_t* out, float* scale, int32_t* sum) {
  const float most = largest(x, count);
  const float inverse = most > 0.0f ? 127.0f / most : 0.0f;
  *scale = most / 127.0f;
  int32_t total = 0;
  for (int i = 0; i < count; i++) {
    const int32_t value = int32_t(rounded(x[i] * inverse));
    out[i] = int8_t(value);
    total += value;
  }
  for (int i = count; i < padded; i++) out[i] = 0;
  *sum = total;
}

inline float inverse_rms(const float* x, int count, float eps) {
  return 1.0f / std::sqrt(sum_of_squares(x, count) / float(count) + eps);
}

void norm(const float* x, const float* weight, int count, float eps, float* out) {
  const float factor = inverse_rms(x, count, eps);
  if (weight == nullptr) {
    for (int i = 0; i < count; i++) out[i] = x[i] * factor;
  } else {
    for (int i = 0; i < count; i++) out[i] = x[i] * factor * weight[i];
  }
}

void add_normed(float* x, const float* y, const float* weight, int count, float eps,
                float scalar) {
  const float factor = inverse_rms(y, count, eps);
  for (int i = 0; i < count; i++) x[i] = (x[i] + y[i] * factor * weight[i]) * scalar;
}

void rotate(float* x, const float* cos, const float* sin, int count) {
  const int half = count / 2;
  for (int i = 0; i < half; i++) {
    const float first = x[i], second = x[i + half];
    x[i] = first * cos[i] - second * sin[i];
    x[i + half] = second * cos[i] + first * sin[i];
  }
}

// e^x for x <= 88, to about one unit in the last place; 0 below -87. A polynomial as in Cephes.
inline float exponential(float x) {
  const float at_least = x < -87.0f ? -87.0f : x;
  const float n = rounded(at_least * 1.44269504088896341f);
  float r = at_least - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const uint32_t bits = uint32_t(int32_t(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, 4);
  return x < -87.0f ? 0.0f : p * power;
}

inline float hyperbolic_tangent(float x) {
  const float size = std::fabs(x) > 15.0f ? 15.0f : std::fabs(x);
  const float value = 1.0f - 2.0f / (exponential(2.0f * size) + 1.0f);
  return x < 0.0f ? -value : value;
}

void gelu_times(const float* gate, const float* up, int count, float* out) {
  for (int i = 0; i < count; i++) {
    const float g = gate[i];
    const float inner = 0.7978845608028654f * (g + 0.044715f * g * g * g);
    out[i] = 0.5f * g * (1.0f + hyperbolic_tangent(inner)) * up[i];
  }
}

void softcap(float* x, int64_t count, float cap) {
  for (int64_t i = 0; i < count; i++) x[i] = hyperbolic_tangent(x[i] / cap) * cap;
}

struct Page {
  uint8_t* keys;
  int8_t* values;
  float* key_scale;
  float* value_scale;
};

inline Page page_of(const Cache& cache, int32_t page, int32_t head) {
  uint8_t* at = cache.base + (int64_t(page) * cache.heads + head) * cache.stride;
  const int64_t half = int64_t(cache.dim) * kLanes;
  float* scales = reinterpret_cast<float*>(at + 2 * half);
  return {at, reinterpret_cast<int8_t*>(at + half), scales, scales + kLanes};
}

void store(const Cache& cache, int32_t page, int32_t slot, int32_t head, const float* key,
           const float* value) {
  const Page at = page_of(cache, page, head);
  const int dim = cache.dim;
  int8_t row[1024];
  int32_t sum;
  quantize(key, dim, dim, row, &at.key_scale[slot], &sum);
  for (int q = 0; q < dim / 4; q++)
    for (int i = 0; i < 4; i++) at.keys[(q * kLanes + slot) * 4 + i] = uint8_t(row[4 * q + i] + 128);
  quantize(value, dim, dim, at.values + slot * dim, &at.value_scale[slot], &sum);
}

template <int H>
inline void page_scores(const AttendArgs& args, const Page& page, int head, int32_t first,
                        int32_t from, int32_t to, float* most) {
  const int dim = args.cache->dim;
  const int8_t* rows[H];
  for (int h = 0; h < H; h++) rows[h] = args.queries + int64_t(head + h) * dim;
  const uint8_t* weights[1] = {page.keys};
  alignas(64) int32_t sums[H * 16];
  block_products<H, 1>(weights, rows, dim / 4, sums);
  for (int h = 0; h < H; h++) {
    const int32_t offset = 128 * args.query_sum[head + h];
    const float scale = args.query_scale[head + h];
    float* scores = args.scores + (head + h) * args.scores_stride + first;
    float top = most[head + h];
    for (int t = 0; t < 16; t++) {
      const float score = float(sums[16 * h + t] - offset) * (scale * page.key_scale[t]);
      const bool seen = t >= from && t < to;
      scores[t] = seen ? score : -INFINITY;
      top = seen && score > top ? score : top;
    }
    most[head + h] = top;
  }
}

// Softmax attention of one row, all query heads of one key head; pages in the order of positions.
void attend(const AttendArgs& args) {
  const Cache& cache = *args.cache;
  const int dim = cache.dim, heads = args.heads;
  const int32_t low = args.position - args.window + 1 > 0 ? args.position - args.window + 1 : 0;
  const int32_t first_page = low / kLanes, last_page = args.position / kLanes;
  float most[kMaxHeads];
  for (int h = 0; h < heads; h++) most[h] = -INFINITY;
  for (int32_t p = first_page; p <= last_page; p++) {
    const Page page = page_of(cache, args.pages[p], args.kv_head);
    const int32_t start = p * kLanes, at = (p - first_page) * kLanes;
    const int32_t from = low > start ? low - start : 0;
    const int32_t to = args.position - start + 1 < kLanes ? args.position - start + 1 : kLanes;
    int h = 0;
    for (; h + 4 <= heads; h += 4) page_scores<4>(args, page, h, at, from, to, most);
    for (; h < heads; h++) page_scores<1>(args, page, h, at, from, to, most);
  }
  const int count = (last_page - first_page + 1) * kLanes;
  float inverse[kMaxHeads];
  for (int h = 0; h < heads; h++) {
    float* scores = args.scores + h * args.scores_stride;
    float lanes[16] = {};
    for (int i = 0; i < count; i += 16)
      for (int l = 0; l < 16; l++) {
        scores[i + l] = exponential(scores[i + l] - most[h]);
        lanes[l] += scores[i + l];
      }
    inverse[h] = 1.0f / add_up(lanes);
    std::memset(args.out + int64_t(h) * dim, 0, sizeof(float) * dim);
  }
  for (int32_t p = first_page; p <= last_page; p++) {
    const Page page = page_of(cache, args.pages[p], args.kv_head);
    const int32_t at = (p - first_page) * kLanes;
    const int32_t end = args.position - p * kLanes + 1;
    const int tokens = end < kLanes ? end : kLanes;
    for (int t = 0; t < tokens; t++) {
      float value[1024];
      const int8_t* from = page.values + t * dim;
      for (int i = 0; i < dim; i++) value[i] = float(from[i]);
      for (int h = 0; h < heads; h++) {
        const float weight = args.scores[h * args.scores_stride + at + t] * page.value_scale[t];
        float* out = args.out + int64_t(h) * dim;
        for (int i = 0; i < dim; i++) out[i] += weight * value[i];
      }
    }
  }
  for (int h = 0; h < heads; h++) {
    float* out = args.out + int64_t(h) * dim;
    for (int i = 0; i < dim; i++) out[i] *= inverse[h];
  }
}

}  // namespace

extern const Kernels TROUPE_JOIN(kKernels_, TROUPE_ISA) = {
    TROUPE_TEXT(TROUPE_ISA), product, quantize, norm, add_normed, rotate, gelu_times, store,
    attend, softcap};

}  // namespace troupe
