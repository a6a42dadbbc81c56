// Keys and values in pages, and softmax attention over them: products of queries and keys in int8,
// sums of values in floats. Included by `kernels.cpp` alone.
//
// All query heads of one key head are attended together, so that a page is read once for them and
// its values are made floats once. Each sum of floats goes in the order of positions.

#pragma once

#include "kernels.h"
#include "product.h"
#include "rows.h"

namespace troupe {
namespace {

// Query heads, and groups of 16 dimensions, that are summed at once: what the registers hold.
#if defined(__AVX512VNNI__)
constexpr int kHeadTile = 4, kDimTile = 4, kPageTile = 4;
#else
constexpr int kHeadTile = 2, kDimTile = 2, kPageTile = 1;
#endif

constexpr int kPagesAhead = 4;  // of values that are fetched: as far as memory is behind

struct Page {
  uint8_t* keys;
  int8_t* values;
  float* key_scale;
  float* value_scale;
};

TROUPE_INLINE Page page_of(const Cache& cache, int32_t page, int32_t head) {
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
  for (int q = 0; q < dim / 4; q++) {
    uint32_t four;
    std::memcpy(&four, row + 4 * q, 4);
    four ^= 0x80808080u;  // plus 128
    std::memcpy(at.keys + (q * kLanes + slot) * 4, &four, 4);
  }
  quantize(value, dim, dim, at.values + slot * dim, &at.value_scale[slot], &sum);
}

// The pages that a row sees, and the positions in the first and the last.
struct Seen {
  int32_t first, last;  // pages
  int32_t from;         // in the first
  int32_t to;           // in the last, one beyond
};

// Scores of H heads with P pages from `page` on, in units of powers of two.
template <int H, int P>
TROUPE_APART void page_scores(const AttendArgs& args, const Seen& seen, int head, int32_t page) {
  constexpr float kLog2OfE = 1.44269504088896341f;
  const int dim = args.cache->dim;
  const int8_t* rows[H];
  int32_t offset[H];
  for (int h = 0; h < H; h++) {
    rows[h] = args.queries + int64_t(head + h) * dim;
    offset[h] = 128 * args.query_sum[head + h];
  }
  const uint8_t* keys[P];
  const float* scale[P];
  const uint8_t* next[P];
  for (int p = 0; p < P; p++) {
    const Page at = page_of(*args.cache, args.pages[page + p], args.kv_head);
    const int32_t following = page + P + p < seen.last ? page + P + p : seen.last;
    keys[p] = at.keys;
    scale[p] = at.key_scale;
    next[p] = page_of(*args.cache, args.pages[following], args.kv_head).keys;
  }
  Integers sums[H][P];
  const auto fetch = [&](int q, int p) __attribute__((always_inline)) { prefetch(next[p] + 64 * q); };
  block_products<H, P>(keys, rows, dim / 4, offset, fetch, sums);
  TROUPE_UNROLL for (int p = 0; p < P; p++) {
    const Floats key_scale = load(scale[p]);
    TROUPE_UNROLL for (int h = 0; h < H; h++) {
      const Floats both = all(args.query_scale[head + h] * kLog2OfE) * key_scale;
      float* scores = args.scores + (head + h) * args.scores_stride;
      store(scores + (page + p - seen.first) * kLanes, to_floats(sums[h][p]) * both);
    }
  }
}

template <int H>
TROUPE_INLINE void head_scores(const AttendArgs& args, const Seen& seen, int head) {
  int32_t page = seen.first;
  for (; page + kPageTile <= seen.last + 1; page += kPageTile)
    page_scores<H, kPageTile>(args, seen, head, page);
  for (; page <= seen.last; page++) page_scores<H, 1>(args, seen, head, page);
}

// A weight in 17 bits, so that its product with a value of 8 is exact in a float.
TROUPE_INLINE Floats short_weight(const Floats& weight) {
  return from_bits((bits(weight) + all(int32_t(64))) & all(int32_t(~127)));
}

// Scores of H heads to weights of values; `inverse`: one over the sum of their powers.
template <int H>
TROUPE_INLINE void softmax(const AttendArgs& args, const Seen& seen, int head,
                           float (&inverse)[H]) {
  const int32_t pages = seen.last - seen.first + 1;
  float* scores[H];
  Floats most[H], sum[H];
  TROUPE_UNROLL for (int h = 0; h < H; h++) {
    scores[h] = args.scores + (head + h) * args.scores_stride;
    float* last = scores[h] + (pages - 1) * kLanes;
    for (int t = 0; t < seen.from; t++) scores[h][t] = -INFINITY;
    for (int t = seen.to; t < kLanes; t++) last[t] = -INFINITY;
    most[h] = load(scores[h]);
    sum[h] = all(0.0f);
  }
  for (int32_t p = 1; p < pages; p++)
    TROUPE_UNROLL for (int h = 0; h < H; h++)
      most[h] = larger(load(scores[h] + p * kLanes), most[h]);
  TROUPE_UNROLL for (int h = 0; h < H; h++) most[h] = all(largest_of(most[h]));
  for (int32_t p = 0; p < pages; p++) {
    const Page at = page_of(*args.cache, args.pages[seen.first + p], args.kv_head);
    const Floats value_scale = load(at.value_scale);
    TROUPE_UNROLL for (int h = 0; h < H; h++) {
      const Floats power = power_of_two(load(scores[h] + p * kLanes) - most[h]);
      sum[h] = sum[h] + power;
      store(scores[h] + p * kLanes, short_weight(power * value_scale));
    }
  }
  TROUPE_UNROLL for (int h = 0; h < H; h++) inverse[h] = 1.0f / add_up(sum[h]);
}

// 16 values, or `some` and zeros.
TROUPE_INLINE Floats values_of(const int8_t* from, int some) {
  if (some >= 16) return to_floats(widened(from));
  int8_t bytes[16] = {};
  std::memcpy(bytes, from, some);
  return to_floats(widened(bytes));
}

// Sums of the values of D groups of 16 dimensions from `dim` on, for H heads. `some`: dimensions of
// the last group.
template <int H, int D>
TROUPE_APART void weigh_values(const AttendArgs& args, const Seen& seen, int head, int dim, int some,
                  const float* inverse) {
  const int width = args.cache->dim;
  Floats sums[H][D];
  TROUPE_UNROLL for (int h = 0; h < H; h++)
    TROUPE_UNROLL for (int d = 0; d < D; d++) sums[h][d] = all(0.0f);
  const float* weights = args.scores + head * args.scores_stride;
  for (int32_t p = seen.first; p <= seen.last; p++) {
    const int32_t later = p + kPagesAhead < seen.last ? p + kPagesAhead : seen.last;
    const int8_t* values = page_of(*args.cache, args.pages[p], args.kv_head).values + dim;
    const int8_t* next = page_of(*args.cache, args.pages[later], args.kv_head).values + dim;
    const int from = p > seen.first ? 0 : seen.from, to = p < seen.last ? kLanes : seen.to;
    for (int t = from; t < to; t++) {
      prefetch(next + t * width);
      Floats value[D];
      TROUPE_UNROLL for (int d = 0; d < D; d++)
        value[d] = values_of(values + t * width + 16 * d, d == D - 1 ? some : 16);
      TROUPE_UNROLL for (int h = 0; h < H; h++) {
        const Floats weight = all(weights[h * args.scores_stride + t]);
        TROUPE_UNROLL for (int d = 0; d < D; d++)
          sums[h][d] = add_exact_product(sums[h][d], weight, value[d]);
      }
    }
    weights += kLanes;
  }
  TROUPE_UNROLL for (int h = 0; h < H; h++) {
    float* out = args.out + int64_t(head + h) * width + dim;
    const Floats by = all(inverse[h]);
    TROUPE_UNROLL for (int d = 0; d < D; d++)
      put(out + 16 * d, 0, d == D - 1 ? some : 16, sums[h][d] * by);
  }
}

template <int H>
TROUPE_INLINE void head_group(const AttendArgs& args, const Seen& seen, int head) {
  head_scores<H>(args, seen, head);
  float inverse[H];
  softmax<H>(args, seen, head, inverse);
  const int width = args.cache->dim;
  int dim = 0;
  for (; dim + 16 * kDimTile <= width; dim += 16 * kDimTile)
    weigh_values<H, kDimTile>(args, seen, head, dim, 16, inverse);
  for (; dim < width; dim += 16)
    weigh_values<H, 1>(args, seen, head, dim, width - dim < 16 ? width - dim : 16, inverse);
}

// One row, all its query heads of one key head.
void attend(const AttendArgs& args) {
  const int32_t low = args.position - args.window + 1 > 0 ? args.position - args.window + 1 : 0;
  const Seen seen{low / kLanes, args.position / kLanes, low % kLanes, args.position % kLanes + 1};
  int head = 0;
  for (; head + kHeadTile <= args.heads; head += kHeadTile) head_group<kHeadTile>(args, seen, head);
  for (; head < args.heads; head++) head_group<1>(args, seen, head);
}

}  // namespace
}  // namespace troupe
