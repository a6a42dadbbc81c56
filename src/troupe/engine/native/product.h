// Products of int8 rows with blocks of weights (see `kernels.h`: Matrix), exact in integers.
// Included by `kernels.cpp` alone.

#pragma once

#include "kernels.h"
#include "lanes.h"

namespace troupe {
namespace {

// Rows and blocks of a tile: as many sums as the registers hold.
#if defined(__AVX512VNNI__)
constexpr int kRowTile = 8, kBlockTile = 2;
#elif defined(__AVX2__)
constexpr int kRowTile = 2, kBlockTile = 1;
#else
constexpr int kRowTile = 4, kBlockTile = 1;
#endif

// sums[m][b] = row m's products with the 16 outputs of block b. `offset[m]` is 128 times the sum of
// row m, which weights that are stored plus 128 put in. `fetch(q, b)` is called on the way.
template <int M, int NB, typename Fetch>
TROUPE_INLINE void block_products(const uint8_t* const (&weights)[NB],
                                  const int8_t* const (&rows)[M], int quads,
                                  const int32_t (&offset)[M], const Fetch& fetch,
                                  Integers (&sums)[M][NB]) {
#if defined(__AVX512VNNI__)
  // Sums are typed as integers of 32 bits, as the instruction has them: g++ moves others about.
  NativeIntegers total[M][NB];
  TROUPE_UNROLL for (int m = 0; m < M; m++)
    TROUPE_UNROLL for (int b = 0; b < NB; b++) total[m][b] = -all(offset[m]).part[0];
  for (int q = 0; q < quads; q++) {
    __m512i w[NB];
    TROUPE_UNROLL for (int b = 0; b < NB; b++) {
      w[b] = _mm512_loadu_si512(weights[b] + 64 * q);
      fetch(q, b);
    }
    TROUPE_UNROLL for (int m = 0; m < M; m++) {
      int32_t four;
      std::memcpy(&four, rows[m] + 4 * q, 4);
      const __m512i a = _mm512_set1_epi32(four);
      TROUPE_UNROLL for (int b = 0; b < NB; b++)
        total[m][b] = NativeIntegers(_mm512_dpbusd_epi32(__m512i(total[m][b]), w[b], a));
    }
  }
  TROUPE_UNROLL for (int m = 0; m < M; m++)
    TROUPE_UNROLL for (int b = 0; b < NB; b++) sums[m][b].part[0] = total[m][b];
#elif defined(__AVX2__)
  // Bytes are widened to 16 bits first: the 8-bit multiply-add of AVX2 saturates.
  const __m256i zero = _mm256_setzero_si256();
  TROUPE_UNROLL for (int b = 0; b < NB; b++) {
    __m256i low[M][2], high[M][2];
    TROUPE_UNROLL for (int m = 0; m < M; m++)
      TROUPE_UNROLL for (int half = 0; half < 2; half++) low[m][half] = high[m][half] = zero;
    for (int q = 0; q < quads; q++) {
      fetch(q, b);
      __m256i a[M];
      TROUPE_UNROLL for (int m = 0; m < M; m++) {
        int32_t four;
        std::memcpy(&four, rows[m] + 4 * q, 4);
        a[m] = _mm256_cvtepi8_epi16(_mm_set1_epi32(four));
      }
      TROUPE_UNROLL for (int half = 0; half < 2; half++) {
        const __m256i w = _mm256_loadu_si256(
            reinterpret_cast<const __m256i*>(weights[b] + 64 * q + 32 * half));
        const __m256i first = _mm256_unpacklo_epi8(w, zero), second = _mm256_unpackhi_epi8(w, zero);
        TROUPE_UNROLL for (int m = 0; m < M; m++) {
          low[m][half] = _mm256_add_epi32(low[m][half], _mm256_madd_epi16(first, a[m]));
          high[m][half] = _mm256_add_epi32(high[m][half], _mm256_madd_epi16(second, a[m]));
        }
      }
    }
    TROUPE_UNROLL for (int m = 0; m < M; m++)
      TROUPE_UNROLL for (int half = 0; half < 2; half++)
        sums[m][b].part[half] =
            NativeIntegers(_mm256_hadd_epi32(low[m][half], high[m][half])) - offset[m];
  }
#else
  for (int m = 0; m < M; m++) {
    for (int b = 0; b < NB; b++) {
      int32_t total[16];
      for (int32_t& lane : total) lane = -offset[m];
      for (int q = 0; q < quads; q++) {
        const int8_t* a = rows[m] + 4 * q;
        const uint8_t* w = weights[b] + 64 * q;
        if (m == 0) fetch(q, b);
        for (int lane = 0; lane < 16; lane++)
          for (int i = 0; i < 4; i++) total[lane] += int32_t(w[4 * lane + i]) * a[i];
      }
      sums[m][b] = load(total);
    }
  }
#endif
}

// Rows m0 to m0 + M - 1 with NB blocks. Meanwhile the blocks that come next are fetched, by tile
// `tile` of `tiles` its share; a single row reads as fast without.
template <int M, int NB>
TROUPE_APART void product_tile(const Matrix& matrix, const Rows& rows, int m0, int block, int tile, int tiles,
                  float* out, int64_t stride) {
  const int quads = matrix.inputs / 4;
  const int64_t size = int64_t(quads) * 64;
  const uint8_t* weights[NB];
  const int8_t* data[M];
  int32_t offset[M];
  for (int b = 0; b < NB; b++) weights[b] = matrix.weights + (block + b) * size;
  const uint8_t* next = weights[0] + NB * size + NB * size * tile / tiles;
  const int step = 64 * NB / tiles;
  const auto fetch = [&](int q, int b) __attribute__((always_inline)) {
    if constexpr (M > 1) prefetch(next + q * step + 64 * b);
  };
  for (int m = 0; m < M; m++) {
    data[m] = rows.data + int64_t(m0 + m) * rows.stride;
    offset[m] = 128 * rows.sum[m0 + m];
  }
  Integers sums[M][NB];
  block_products<M, NB>(weights, data, quads, offset, fetch, sums);
  TROUPE_UNROLL for (int b = 0; b < NB; b++) {
    const int first = (block + b) * 16;
    const int count = matrix.outputs - first;
    const Floats scale =
        count >= 16 ? load(matrix.scale + first) : load_some(matrix.scale + first, count);
    TROUPE_UNROLL for (int m = 0; m < M; m++) {
      const Floats product = to_floats(sums[m][b]) * (all(rows.scale[m0 + m]) * scale);
      float* to = out + (m0 + m) * stride + first;
      if (count >= 16)
        store(to, product);
      else
        store_some(to, product, count);
    }
  }
}

template <int M, int NB>
TROUPE_INLINE void rows_of_tile(const Matrix& matrix, const Rows& rows, int m0, int count,
                                int block, int tile, int tiles, float* out, int64_t stride) {
  if (count == M)
    product_tile<M, NB>(matrix, rows, m0, block, tile, tiles, out, stride);
  else if constexpr (M > 1)
    rows_of_tile<M - 1, NB>(matrix, rows, m0, count, block, tile, tiles, out, stride);
}

// All rows with NB blocks, in tiles as equal as can be.
template <int NB>
TROUPE_INLINE void product_rows(const Matrix& matrix, const Rows& rows, int count, int block,
                                float* out, int64_t stride) {
  const int tiles = (count + kRowTile - 1) / kRowTile;
  for (int i = 0; i < tiles; i++) {
    const int m0 = count * i / tiles, m1 = count * (i + 1) / tiles;
    rows_of_tile<kRowTile, NB>(matrix, rows, m0, m1 - m0, block, i, tiles, out, stride);
  }
}

void product(const Matrix& matrix, const Rows& rows, int count, float* out, int64_t stride,
             int first, int last) {
  int block = first;
  // Of a single row, more sums at once, to hide the multiplier's latency.
  constexpr int kMany = 2 * kBlockTile;
  if (count == 1)
    for (; block + kMany <= last; block += kMany)
      product_tile<1, kMany>(matrix, rows, 0, block, 0, 1, out, stride);
  for (; block + kBlockTile <= last; block += kBlockTile)
    product_rows<kBlockTile>(matrix, rows, count, block, out, stride);
  for (; block < last; block++) product_rows<1>(matrix, rows, count, block, out, stride);
}

}  // namespace
}  // namespace troupe
