// One inference step over rows (token, position, sequence): see step.h. Decodes and prefill chunks
// are the same thing here. Layers that share keys and values run only for rows that want logits.

#include "step.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "pool.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace troupe {
namespace {

#if defined(__x86_64__)
// The registers that the system saves (XGETBV, Intel's manual, volume 1, 13.3).
uint64_t saved_registers() {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

// By CPUID itself: `__builtin_cpu_supports` is not in every compiler's runtime.
const Kernels* best_of_x86() {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA))
    return &kKernels_portable;
  const uint64_t saved = saved_registers();
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2) || (saved & 0x6) != 0x6)
    return &kKernels_portable;
  constexpr uint32_t kWide = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
  if ((b & kWide) == kWide && (c & bit_AVX512VNNI) && (saved & 0xe6) == 0xe6)
    return &kKernels_avx512;
  return &kKernels_avx2;
}
#endif

const Kernels* best() {
#if defined(__x86_64__)
  return best_of_x86();
#else
  return &kKernels_portable;
#endif
}

const Kernels* kernels = best();

// x += y, where there is one.
void add(float* x, const float* y, int count) {
  if (y == nullptr) return;
  for (int i = 0; i < count; i++) x[i] += y[i];
}

int padded(int count, int to) { return (count + to - 1) / to * to; }

// What a step works in, as large as its largest.
struct Scratch {
  std::vector<float> x, normed, qkv, attended, inner, scores;
  std::vector<int8_t> data, queries;
  std::vector<float> scale, query_scale;
  std::vector<int32_t> sum, query_sum;
};

class Model {
 public:
  explicit Model(const TroupeModel& model) : m_(model), pool_(std::max(1, model.threads)) {
    layers_.assign(model.layers, model.layers + model.layer_count);
    int widest = m_.hidden, qkv = 0, gate_up = 0, attended = 0;
    for (const TroupeLayer& layer : layers_) {
      widest = std::max({widest, layer.inner, m_.heads * layer.dim});
      qkv = std::max(qkv, layer.qkv.outputs);
      gate_up = std::max(gate_up, layer.gate_up.outputs);
      attended = std::max(attended, m_.heads * layer.dim);
    }
    const size_t rows = m_.max_rows;
    stride_ = padded(widest, 64);
    wide_ = padded(std::max(qkv, gate_up), 16);
    scores_stride_ = padded(m_.context, kLanes) + kLanes;
    s_.x.resize(rows * m_.hidden);
    s_.normed.resize(size_t(pool_.size()) * stride_);
    s_.qkv.resize(rows * wide_);
    s_.attended.resize(rows * attended);
    s_.inner.resize(rows * m_.hidden);
    s_.scores.resize(size_t(pool_.size()) * m_.heads * scores_stride_);
    s_.data.resize(rows * stride_);
    s_.scale.resize(rows);
    s_.sum.resize(rows);
    s_.queries.resize(rows * attended);
    s_.query_scale.resize(rows * m_.heads);
    s_.query_sum.resize(rows * m_.heads);
  }

  void step(const TroupeBatch& batch) {
    caches_ = batch.caches;
    positions_.assign(batch.positions, batch.positions + batch.rows);
    for (int local = 0; local < 2; local++) {
      const int32_t* pages = local ? batch.local_pages : batch.pages;
      tables_[local].resize(batch.rows);
      for (int r = 0; r < batch.rows; r++) tables_[local][r] = pages + batch.table[r];
    }
    int rows = batch.rows;
    each_row(rows, [&](int r, int) { embed(batch.tokens[r], &s_.x[size_t(r) * m_.hidden]); });
    for (int i = 0; i < m_.layer_count; i++) {
      if (i == m_.first_shared) rows = keep(batch);
      if (rows == 0) return;
      layer(layers_[i], rows);
    }
    if (m_.first_shared == m_.layer_count) rows = keep(batch);
    if (rows > 0) head(rows, batch.logits);
  }

 private:
  // Rows in contiguous shares, one a thread.
  template <typename Work>
  void each_row(int rows, const Work& work) {
    if (rows == 1) {
      work(0, 0);
      return;
    }
    pool_.run([&](int thread) {
      const int from = rows * thread / pool_.size(), to = rows * (thread + 1) / pool_.size();
      for (int r = from; r < to; r++) work(r, thread);
    });
  }

  void product(const Matrix& matrix, int rows, float* out, int64_t stride) {
    const Rows in{s_.data.data(), s_.scale.data(), s_.sum.data(), stride_};
    const int blocks = padded(matrix.outputs, 16) / 16;
    pool_.run([&](int thread) {
      const int first = int(int64_t(blocks) * thread / pool_.size());
      const int last = int(int64_t(blocks) * (thread + 1) / pool_.size());
      kernels->product(matrix, in, rows, out, stride, first, last);
    });
  }

  void quantize(const float* x, int count, int row) {
    kernels->quantize(x, count, padded(count, 4), &s_.data[size_t(row) * stride_], &s_.scale[row],
                      &s_.sum[row]);
  }

  void norm_and_quantize(const float* weight, int row, int thread) {
    float* normed = &s_.normed[size_t(thread) * stride_];
    kernels->norm(&s_.x[size_t(row) * m_.hidden], weight, m_.hidden, m_.eps, normed);
    quantize(normed, m_.hidden, row);
  }

  void embed(int32_t token, float* x) {
    const uint16_t* from = m_.embedding + int64_t(token) * m_.hidden;
    for (int i = 0; i < m_.hidden; i++) {
      const uint32_t bits = uint32_t(from[i]) << 16;
      float value;
      std::memcpy(&value, &bits, 4);
      x[i] = value * m_.embedding_scale;
    }
  }

  // Only the rows whose logits are wanted go on.
  int keep(const TroupeBatch& batch) {
    for (int i = 0; i < batch.wanted_count; i++) {
      const int r = batch.wanted[i];
      if (r == i) continue;
      std::memcpy(&s_.x[size_t(i) * m_.hidden], &s_.x[size_t(r) * m_.hidden],
                  sizeof(float) * m_.hidden);
      positions_[i] = positions_[r];
      for (auto& tables : tables_) tables[i] = tables[r];
    }
    return batch.wanted_count;
  }

  void layer(const TroupeLayer& l, int rows) {
    each_row(rows, [&](int r, int thread) { norm_and_quantize(l.before_attention, r, thread); });
    product(l.qkv, rows, s_.qkv.data(), wide_);
    each_row(rows, [&](int r, int) { turn_and_store(l, r); });
    attend(l, rows);
    const int width = m_.heads * l.dim;
    each_row(rows, [&](int r, int) { quantize(&s_.attended[size_t(r) * width], width, r); });
    product(l.out, rows, s_.inner.data(), m_.hidden);
    each_row(rows, [&](int r, int thread) {
      add_block(r, l.out_bias, l.after_attention, 1.0f);
      norm_and_quantize(l.before_mlp, r, thread);
    });
    product(l.gate_up, rows, s_.qkv.data(), wide_);
    each_row(rows, [&](int r, int thread) {
      float* inner = &s_.normed[size_t(thread) * stride_];
      float* gate = &s_.qkv[size_t(r) * wide_];
      add(gate, l.gate_up_bias, 2 * l.inner);
      (m_.silu ? kernels->silu_times : kernels->gelu_times)(gate, gate + l.inner, l.inner, inner);
      quantize(inner, l.inner, r);
    });
    product(l.down, rows, s_.inner.data(), m_.hidden);
    each_row(rows, [&](int r, int) { add_block(r, l.down_bias, l.after_mlp, l.scalar); });
  }

  // Add what a block made to its row, with its bias and the norm after it where there is one.
  void add_block(int r, const float* bias, const float* norm, float scalar) {
    float *x = &s_.x[size_t(r) * m_.hidden], *made = &s_.inner[size_t(r) * m_.hidden];
    add(made, bias, m_.hidden);
    if (norm != nullptr)
      kernels->add_normed(x, made, norm, m_.hidden, m_.eps, scalar);
    else
      add(x, made, m_.hidden);
  }

  void turn_and_store(const TroupeLayer& l, int r) {
    const int position = positions_[r], half = l.dim / 2;
    const float *cos = l.cos + int64_t(position) * half, *sin = l.sin + int64_t(position) * half;
    float* row = &s_.qkv[size_t(r) * wide_];
    add(row, l.qkv_bias, l.qkv.outputs);
    for (int h = 0; h < m_.heads; h++) {
      float* query = row + h * l.dim;
      if (l.query_norm) kernels->norm(query, l.query_norm, l.dim, m_.eps, query);
      kernels->rotate(query, cos, sin, l.dim);
      const size_t at = size_t(r) * m_.heads + h;
      kernels->quantize(query, l.dim, l.dim, &s_.queries[at * l.dim], &s_.query_scale[at],
                        &s_.query_sum[at]);
      s_.query_scale[at] *= m_.attention_scale;
    }
    if (!l.makes_kv) return;
    const Cache cache{caches_[l.cache], l.cache_stride, m_.kv_heads, l.dim};
    const int32_t page = tables_[l.local][r][position / kLanes];
    for (int g = 0; g < m_.kv_heads; g++) {
      float* key = row + (m_.heads + g) * l.dim;
      float* value = row + (m_.heads + m_.kv_heads + g) * l.dim;
      if (l.key_norm) kernels->norm(key, l.key_norm, l.dim, m_.eps, key);
      kernels->rotate(key, cos, sin, l.dim);
      if (m_.value_norm) kernels->norm(value, nullptr, l.dim, m_.eps, value);
      kernels->store(cache, page, position % kLanes, g, key, value);
    }
  }

  // A row's heads of one key head at a time; long rows cost more, so threads take the next that is
  // left.
  void attend(const TroupeLayer& l, int rows) {
    const Cache cache{caches_[l.cache], l.cache_stride, m_.kv_heads, l.dim};
    const int each = m_.heads / m_.kv_heads;
    // With few rows, heads are shared out too: as many items as keep all threads busy.
    int split = 1;
    while (rows * m_.kv_heads * split < pool_.size() && each % (2 * split) == 0) split *= 2;
    const int heads = each / split, items = rows * m_.kv_heads * split;
    std::atomic<int> next{0};
    const auto work = [&](int thread) {
      for (int item = next++; item < items; item = next++) {
        const int r = item / (m_.kv_heads * split);
        const int first = item % (m_.kv_heads * split) * heads;  // query head
        const size_t at = size_t(r) * m_.heads + first;
        const AttendArgs args{&cache,
                              tables_[l.local][r],
                              positions_[r],
                              l.window,
                              heads,
                              first / each,
                              &s_.queries[at * l.dim],
                              &s_.query_scale[at],
                              &s_.query_sum[at],
                              &s_.scores[size_t(thread) * m_.heads * scores_stride_],
                              scores_stride_,
                              &s_.attended[at * l.dim]};
        kernels->attend(args);
      }
    };
    if (items == 1)
      work(0);
    else
      pool_.run(work);
  }

  void head(int rows, float* logits) {
    each_row(rows, [&](int r, int thread) { norm_and_quantize(m_.norm, r, thread); });
    product(m_.head, rows, logits, m_.head.outputs);
    if (m_.softcap > 0.0f)
      each_row(rows, [&](int r, int) {
        kernels->softcap(logits + int64_t(r) * m_.head.outputs, m_.head.outputs, m_.softcap);
      });
  }

  TroupeModel m_;
  std::vector<TroupeLayer> layers_;
  Pool pool_;
  Scratch s_;
  uint8_t* const* caches_ = nullptr;
  std::vector<int32_t> positions_;
  std::vector<const int32_t*> tables_[2];  // of global layers, of local ones
  int stride_ = 0;         // of rows of integers
  int64_t wide_ = 0;       // of rows of `qkv`
  int64_t scores_stride_ = 0;
};

}  // namespace
}  // namespace troupe

extern "C" {

int64_t troupe_structures(void) {
  return int64_t(sizeof(TroupeModel)) << 32 | int64_t(sizeof(TroupeLayer)) << 16 |
         int64_t(sizeof(TroupeBatch));
}

void* troupe_model_new(const TroupeModel* model) {
  try {
    return new troupe::Model(*model);
  } catch (const std::exception&) {  // no memory, no threads
    return nullptr;
  }
}

void troupe_model_free(void* model) { delete static_cast<troupe::Model*>(model); }

void troupe_step(void* model, const TroupeBatch* batch) {
  static_cast<troupe::Model*>(model)->step(*batch);
}

const char* troupe_instruction_set(void) { return troupe::kernels->name; }

int troupe_use(const char* name) {
  const troupe::Kernels* best = troupe::best();
  const troupe::Kernels* known[] = {
      &troupe::kKernels_portable,
#if defined(__x86_64__)
      &troupe::kKernels_avx2,
      &troupe::kKernels_avx512,
#endif
  };
  for (const troupe::Kernels* set : known) {
    if (std::strcmp(set->name, name) == 0) {
      troupe::kernels = set;
      return 1;
    }
    if (set == best) return 0;  // those after it are beyond this machine
  }
  return 0;
}

int64_t troupe_multiply(int64_t rounds) { return troupe::kernels->multiply(rounds); }

int64_t troupe_read(const void* from, int64_t bytes) { return troupe::kernels->read(from, bytes); }

void troupe_product(const troupe::Matrix* matrix, const float* x, int32_t rows, float* out) {
  std::vector<int8_t> data(size_t(rows) * matrix->inputs);
  std::vector<float> scale(rows);
  std::vector<int32_t> sum(rows);
  for (int r = 0; r < rows; r++)
    troupe::kernels->quantize(x + int64_t(r) * matrix->inputs, matrix->inputs, matrix->inputs,
                              &data[size_t(r) * matrix->inputs], &scale[r], &sum[r]);
  const troupe::Rows in{data.data(), scale.data(), sum.data(), matrix->inputs};
  troupe::kernels->product(*matrix, in, rows, out, matrix->outputs, 0, (matrix->outputs + 15) / 16);
}
}
