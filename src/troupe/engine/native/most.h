// What a thread of this machine can do at most, to measure steps by: multiplications and additions
// of bytes with nothing but registers, and reading. Included by `kernels.cpp` alone.

#pragma once

#include "lanes.h"

namespace troupe {
namespace {

// Twelve sums side by side, as many as hide the instruction's latency. Returns the operations done.
int64_t multiply(int64_t rounds) {
  constexpr int kSums = 12;
#if defined(__AVX512VNNI__)
  NativeIntegers sums[kSums] = {};
  NativeIntegers a = all(int32_t(rounds)).part[0], b = all(int32_t(7)).part[0];
  __asm__ volatile("" : "+v"(a), "+v"(b));
  for (int64_t i = 0; i < rounds; i++)
    TROUPE_UNROLL for (int s = 0; s < kSums; s++) {
      sums[s] = NativeIntegers(_mm512_dpbusd_epi32(__m512i(sums[s]), __m512i(a), __m512i(b)));
      __asm__ volatile("" : "+v"(sums[s]));
    }
  return rounds * kSums * 128;
#elif defined(__AVX2__)
  __m256i sums[kSums], a = _mm256_set1_epi16(int16_t(rounds)), b = _mm256_set1_epi16(7);
  TROUPE_UNROLL for (int s = 0; s < kSums; s++) sums[s] = _mm256_setzero_si256();
  for (int64_t i = 0; i < rounds; i++) {
    __asm__ volatile("" : "+x"(a), "+x"(b));
    TROUPE_UNROLL for (int s = 0; s < kSums; s++) {
      sums[s] = _mm256_add_epi32(sums[s], _mm256_madd_epi16(a, b));
      __asm__ volatile("" : "+x"(sums[s]), "+x"(a));
    }
  }
  return rounds * kSums * 32;
#else
  Integers sum = all(int32_t(0)), a = all(int32_t(rounds)), b = all(int32_t(7));
  for (int64_t i = 0; i < rounds; i++) {
    TROUPE_EACH_PART sum.part[i] += a.part[i] * b.part[i];
    __asm__ volatile("" : : "g"(&a), "g"(&b), "g"(&sum) : "memory");
  }
  return rounds * 32;
#endif
}

// Read memory, a multiple of 512 bytes. Returns a number made of all that was read.
int64_t read(const void* from, int64_t bytes) {
  Integers sums[8];
  for (Integers& sum : sums) sum = all(int32_t(0));
  const int32_t* at = static_cast<const int32_t*>(from);
  for (int64_t i = 0; i + 128 <= bytes / 4; i += 128)
    TROUPE_UNROLL for (int s = 0; s < 8; s++) sums[s] = sums[s] + load(at + i + 16 * s);
  int64_t total = 0;
  for (const Integers& sum : sums) total += add_up(sum);
  return total;
}

}  // namespace
}  // namespace troupe
