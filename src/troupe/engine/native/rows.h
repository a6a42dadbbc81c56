// What is done to a row of floats by itself: norms, rounding to int8, rotation, activation. Included
// by `kernels.cpp` alone. Sums go in 16 lanes, added up in one order.

#pragma once

#include "lanes.h"

namespace troupe {
namespace {

// Call work(i, x of i to i + 15) for 16 numbers at a time; beyond the row's end they are zero.
template <typename Work>
TROUPE_INLINE void each_sixteen(const float* x, int count, const Work& work) {
  int i = 0;
  for (; i + 16 <= count; i += 16) work(i, load(x + i));
  if (i < count) work(i, load_some(x + i, count - i));
}

TROUPE_INLINE void put(float* to, int i, int count, const Floats& x) {
  if (i + 16 <= count)
    store(to + i, x);
  else
    store_some(to + i, x, count - i);
}

TROUPE_INLINE Floats take(const float* from, int i, int count) {
  return i + 16 <= count ? load(from + i) : load_some(from + i, count - i);
}

// To the nearest integer, ties to even, for |x| < 2^22.
TROUPE_INLINE Floats rounded(const Floats& x) {
  const Floats magic = all(12582912.0f);
  return (x + magic) - magic;
}

void quantize(const float* x, int count, int padded, int8_t* out, float* scale, int32_t* sum) {
  Floats top = all(0.0f);
  each_sixteen(x, count, [&](int, const Floats& v) { top = larger(magnitude(v), top); });
  const float most = largest_of(top);
  const Floats inverse = all(most > 0.0f ? 127.0f / most : 0.0f);
  *scale = most / 127.0f;
  Integers total = all(0);
  each_sixteen(x, count, [&](int i, const Floats& v) {
    const Integers whole = to_integers(rounded(v * inverse));
    total = total + whole;
    if (i + 16 <= count) {
      narrowed(out + i, whole);
    } else {
      int8_t bytes[16];
      narrowed(bytes, whole);
      std::memcpy(out + i, bytes, count - i);
    }
  });
  for (int i = count; i < padded; i++) out[i] = 0;
  *sum = add_up(total);
}

TROUPE_INLINE float inverse_rms(const float* x, int count, float eps) {
  Floats squares = all(0.0f);
  each_sixteen(x, count, [&](int, const Floats& v) { squares = squares + v * v; });
  return 1.0f / std::sqrt(add_up(squares) / float(count) + eps);
}

void norm(const float* x, const float* weight, int count, float eps, float* out) {
  const Floats factor = all(inverse_rms(x, count, eps));
  each_sixteen(x, count, [&](int i, const Floats& v) {
    const Floats normed = v * factor;
    put(out, i, count, weight == nullptr ? normed : normed * take(weight, i, count));
  });
}

void add_normed(float* x, const float* y, const float* weight, int count, float eps,
                float scalar) {
  const Floats factor = all(inverse_rms(y, count, eps)), by = all(scalar);
  each_sixteen(y, count, [&](int i, const Floats& v) {
    put(x, i, count, (take(x, i, count) + v * factor * take(weight, i, count)) * by);
  });
}

void rotate(float* x, const float* cos, const float* sin, int count) {
  const int half = count / 2;
  each_sixteen(x, half, [&](int i, const Floats& first) {
    const Floats second = take(x + half, i, half);
    const Floats c = take(cos, i, half), s = take(sin, i, half);
    put(x, i, half, first * c - second * s);
    put(x + half, i, half, second * c + first * s);
  });
}

// 2^x for x <= 126, to about two units in the last place; 2^-100 where x is less. The polynomial
// has the least relative error of its degree over [-0.5, 0.5] (Lawson's iteration).
TROUPE_INLINE Floats power_of_two(const Floats& x) {
  const Floats magic = all(12582912.0f);
  const Floats from = larger(x, all(-100.0f));
  const Floats whole = from + magic;  // its lowest bits are the nearest integer
  const Floats r = from - (whole - magic);
  Floats p = all(1.3264727247e-03f);
  p = p * r + all(9.6715126881e-03f);
  p = p * r + all(5.5507337436e-02f);
  p = p * r + all(2.4022242085e-01f);
  p = p * r + all(6.9314697760e-01f);
  p = p * r + all(1.0f);
  return from_bits(bits(p) + shift_left(bits(whole), 23));
}

TROUPE_INLINE Floats hyperbolic_tangent(const Floats& x) {
  const Floats size = smaller(magnitude(x), all(15.0f));
  const Floats power = power_of_two(size * all(2.88539008177792681f));  // e^(2 size)
  const Floats value = all(1.0f) - all(2.0f) / (power + all(1.0f));
  return where_less(x, all(0.0f), all(0.0f) - value, value);
}

void gelu_times(const float* gate, const float* up, int count, float* out) {
  each_sixteen(gate, count, [&](int i, const Floats& g) {
    const Floats inner = all(0.7978845608028654f) * (g + all(0.044715f) * g * g * g);
    put(out, i, count,
        all(0.5f) * g * (all(1.0f) + hyperbolic_tangent(inner)) * take(up, i, count));
  });
}

void silu_times(const float* gate, const float* up, int count, float* out) {
  each_sixteen(gate, count, [&](int i, const Floats& g) {
    const Floats small = power_of_two(magnitude(g) * all(-1.44269504088896341f));  // e^-|g|
    const Floats share = where_less(g, all(0.0f), small, all(1.0f)) / (all(1.0f) + small);
    put(out, i, count, g * share * take(up, i, count));
  });
}

void softcap(float* x, int64_t count, float cap) {
  each_sixteen(x, int(count), [&](int i, const Floats& v) {
    put(x, i, int(count), hyperbolic_tangent(v / all(cap)) * all(cap));
  });
}

}  // namespace
}  // namespace troupe
