// Sixteen numbers at a time, on every instruction set the same arithmetic in the same order: one
// register of AVX-512, two of AVX2, four of any other machine (vectors of g++ and clang). Included
// by `kernels.cpp` alone, inside its namespace without a name.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX512VNNI__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__clang__)
#define TROUPE_UNROLL _Pragma("unroll")
#else
#define TROUPE_UNROLL _Pragma("GCC unroll 16")
#endif
#define TROUPE_INLINE inline __attribute__((always_inline))
// A loop that wants all registers, in a function of its own.
#define TROUPE_APART __attribute__((noinline))

namespace troupe {
namespace {

#if defined(__AVX512VNNI__)
constexpr int kNative = 16;
#elif defined(__AVX2__)
constexpr int kNative = 8;
#else
constexpr int kNative = 4;
#endif
constexpr int kParts = 16 / kNative;

using NativeFloats = float __attribute__((vector_size(4 * kNative)));
using NativeIntegers = int32_t __attribute__((vector_size(4 * kNative)));

struct Integers {
  NativeIntegers part[kParts];
};

struct Floats {
  NativeFloats part[kParts];
};

#define TROUPE_EACH_PART TROUPE_UNROLL for (int i = 0; i < kParts; i++)

#define TROUPE_OPERATOR(type, op)                                       \
  TROUPE_INLINE type operator op(const type& a, const type& b) {        \
    type out;                                                           \
    TROUPE_EACH_PART out.part[i] = a.part[i] op b.part[i];              \
    return out;                                                         \
  }
TROUPE_OPERATOR(Floats, +)
TROUPE_OPERATOR(Floats, -)
TROUPE_OPERATOR(Floats, *)
TROUPE_OPERATOR(Floats, /)
TROUPE_OPERATOR(Integers, +)
TROUPE_OPERATOR(Integers, -)
TROUPE_OPERATOR(Integers, &)
#undef TROUPE_OPERATOR

TROUPE_INLINE Floats all(float x) {
  Floats out;
  TROUPE_EACH_PART out.part[i] = x - NativeFloats{};
  return out;
}

TROUPE_INLINE Integers all(int32_t x) {
  Integers out;
  TROUPE_EACH_PART out.part[i] = x - NativeIntegers{};
  return out;
}

TROUPE_INLINE Floats load(const float* from) {
  Floats out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

TROUPE_INLINE Integers load(const int32_t* from) {
  Integers out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

TROUPE_INLINE void store(float* to, const Floats& x) { std::memcpy(to, &x, sizeof x); }

TROUPE_INLINE void store(int32_t* to, const Integers& x) { std::memcpy(to, &x, sizeof x); }

// The first `count` of 16, the rest zero.
TROUPE_INLINE Floats load_some(const float* from, int count) {
  float sixteen[16] = {};
  std::memcpy(sixteen, from, sizeof(float) * count);
  return load(sixteen);
}

TROUPE_INLINE void store_some(float* to, const Floats& x, int count) {
  float sixteen[16];
  store(sixteen, x);
  std::memcpy(to, sixteen, sizeof(float) * count);
}

TROUPE_INLINE Integers bits(const Floats& x) {
  Integers out;
  std::memcpy(&out, &x, sizeof out);
  return out;
}

TROUPE_INLINE Floats from_bits(const Integers& x) {
  Floats out;
  std::memcpy(&out, &x, sizeof out);
  return out;
}

TROUPE_INLINE Integers shift_left(const Integers& x, int by) {
  Integers out;
  TROUPE_EACH_PART out.part[i] = x.part[i] << by;
  return out;
}

TROUPE_INLINE Floats to_floats(const Integers& x) {
  Floats out;
  TROUPE_EACH_PART out.part[i] = __builtin_convertvector(x.part[i], NativeFloats);
  return out;
}

// Whole numbers to integers.
TROUPE_INLINE Integers to_integers(const Floats& x) {
  Integers out;
  TROUPE_EACH_PART out.part[i] = __builtin_convertvector(x.part[i], NativeIntegers);
  return out;
}

// a where it is larger, else b (also where one is no number).
TROUPE_INLINE Floats larger(const Floats& a, const Floats& b) {
  Floats out;
#if defined(__AVX512VNNI__)
  out.part[0] = _mm512_max_ps(a.part[0], b.part[0]);
#elif defined(__AVX2__)
  TROUPE_EACH_PART out.part[i] = _mm256_max_ps(a.part[i], b.part[i]);
#else
  TROUPE_EACH_PART out.part[i] = a.part[i] > b.part[i] ? a.part[i] : b.part[i];
#endif
  return out;
}

TROUPE_INLINE Floats smaller(const Floats& a, const Floats& b) {
  Floats out;
#if defined(__AVX512VNNI__)
  out.part[0] = _mm512_min_ps(a.part[0], b.part[0]);
#elif defined(__AVX2__)
  TROUPE_EACH_PART out.part[i] = _mm256_min_ps(a.part[i], b.part[i]);
#else
  TROUPE_EACH_PART out.part[i] = a.part[i] < b.part[i] ? a.part[i] : b.part[i];
#endif
  return out;
}

TROUPE_INLINE Floats magnitude(const Floats& x) {
  return from_bits(bits(x) & all(int32_t(0x7fffffff)));
}

// x where `a < b`, else `other`.
TROUPE_INLINE Floats where_less(const Floats& a, const Floats& b, const Floats& x,
                                const Floats& other) {
  Floats out;
#if defined(__AVX512VNNI__)
  out.part[0] = _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.part[0], b.part[0], _CMP_LT_OQ),
                                     other.part[0], x.part[0]);
#elif defined(__AVX2__)
  TROUPE_EACH_PART out.part[i] = _mm256_blendv_ps(
      other.part[i], x.part[i], _mm256_cmp_ps(a.part[i], b.part[i], _CMP_LT_OQ));
#else
  TROUPE_EACH_PART out.part[i] = a.part[i] < b.part[i] ? x.part[i] : other.part[i];
#endif
  return out;
}

// sum + a * b where the product is exact in float, so that one rounding or two give the same.
TROUPE_INLINE Floats add_exact_product(const Floats& sum, const Floats& a, const Floats& b) {
  Floats out;
#if defined(__AVX512VNNI__)
  out.part[0] = _mm512_fmadd_ps(a.part[0], b.part[0], sum.part[0]);
#elif defined(__AVX2__)
  TROUPE_EACH_PART out.part[i] = _mm256_fmadd_ps(a.part[i], b.part[i], sum.part[i]);
#else
  TROUPE_EACH_PART out.part[i] = sum.part[i] + a.part[i] * b.part[i];
#endif
  return out;
}

TROUPE_INLINE Integers widened(const int8_t* from) {
  Integers out;
#if defined(__AVX512VNNI__)
  out.part[0] = NativeIntegers(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
#elif defined(__AVX2__)
  TROUPE_EACH_PART out.part[i] = NativeIntegers(_mm256_cvtepi8_epi32(
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + 8 * i))));
#else
  using Bytes = int8_t __attribute__((vector_size(kNative)));
  TROUPE_EACH_PART {
    Bytes four;
    std::memcpy(&four, from + kNative * i, sizeof four);
    out.part[i] = __builtin_convertvector(four, NativeIntegers);
  }
#endif
  return out;
}

// Integers within a byte, as bytes.
TROUPE_INLINE void narrowed(int8_t* to, const Integers& x) {
#if defined(__AVX512VNNI__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(__m512i(x.part[0])));
#else
  int32_t sixteen[16];
  store(sixteen, x);
  for (int i = 0; i < 16; i++) to[i] = int8_t(sixteen[i]);
#endif
}

using EightFloats = float __attribute__((vector_size(32)));
using FourFloats = float __attribute__((vector_size(16)));

// Halves upon halves: one order for all machines.
TROUPE_INLINE float add_up(const Floats& x) {
  EightFloats eights[2];
  std::memcpy(eights, &x, sizeof eights);
  eights[0] += eights[1];
  FourFloats fours[2];
  std::memcpy(fours, eights, sizeof fours);
  fours[0] += fours[1];
  return (fours[0][0] + fours[0][2]) + (fours[0][1] + fours[0][3]);
}

TROUPE_INLINE int32_t add_up(const Integers& x) {
  int32_t lanes[16], total = 0;
  store(lanes, x);
  for (int32_t lane : lanes) total += lane;
  return total;
}

TROUPE_INLINE float largest_of(const Floats& x) {
  EightFloats eights[2];
  std::memcpy(eights, &x, sizeof eights);
  eights[0] = eights[0] > eights[1] ? eights[0] : eights[1];
  FourFloats fours[2];
  std::memcpy(fours, eights, sizeof fours);
  fours[0] = fours[0] > fours[1] ? fours[0] : fours[1];
  const float a = fours[0][0] > fours[0][2] ? fours[0][0] : fours[0][2];
  const float b = fours[0][1] > fours[0][3] ? fours[0][1] : fours[0][3];
  return a > b ? a : b;
}

// Fetch a cache line that is read soon, once. g++ drops a call that only fetches, so those who call
// this are inlined too.
TROUPE_INLINE void prefetch(const void* at) { __builtin_prefetch(at, 0, 0); }

}  // namespace
}  // namespace troupe
