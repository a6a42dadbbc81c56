// What Python hands over (by ctypes; `library.py` mirrors it) and calls. All memory is Python's and
// outlives the model.

#pragma once

#include <cstdint>

#include "kernels.h"

extern "C" {

struct TroupeLayer {
  troupe::Matrix qkv;  // queries, then keys and values where the layer makes its own
  troupe::Matrix out;
  troupe::Matrix gate_up;
  troupe::Matrix down;
  const float* qkv_bias;  // biases and norms: null where the model has none
  const float* out_bias;
  const float* gate_up_bias;
  const float* down_bias;
  const float* query_norm;
  const float* key_norm;
  const float* before_attention;
  const float* after_attention;
  const float* before_mlp;
  const float* after_mlp;
  const float* cos;  // of each position, dim / 2 of them
  const float* sin;
  int64_t cache_stride;  // bytes of a page's keys and values for one head
  int32_t cache;         // the layer whose keys and values this one reads
  int32_t makes_kv;
  int32_t dim;
  int32_t window;
  int32_t local;  // whether its pages are those of `local_pages`
  int32_t inner;
  float scalar;
};

struct TroupeModel {
  const TroupeLayer* layers;
  const uint16_t* embedding;  // bfloat16, vocabulary x hidden
  troupe::Matrix head;
  const float* norm;
  int32_t layer_count;
  int32_t first_shared;
  int32_t hidden;
  int32_t heads;
  int32_t kv_heads;
  int32_t context;
  int32_t max_rows;
  int32_t threads;
  int32_t value_norm;  // 1: values are normed, without weights
  int32_t silu;        // 1: the feed-forward block's activation; 0: gelu
  float attention_scale;
  float embedding_scale;
  float eps;
  float softcap;  // 0: none
};

struct TroupeBatch {
  const int32_t* tokens;
  const int32_t* positions;
  const int32_t* table;   // of each row: where its sequence's pages begin in `pages`
  const int32_t* pages;
  const int32_t* local_pages;  // of layers that are local; laid out as `pages`
  const int32_t* wanted;  // rows whose logits are wanted, ascending
  int32_t rows;
  int32_t wanted_count;
  float* logits;         // wanted x vocabulary
  uint8_t* const* caches;  // of each layer that makes keys and values
};

// The structures' sizes as one number: another than Python's means another build.
int64_t troupe_structures(void);
// A model ready to run, or null where memory is short.
void* troupe_model_new(const TroupeModel* model);
void troupe_model_free(void* model);
// Run all rows: rows of one sequence in the order of their positions.
void troupe_step(void* model, const TroupeBatch* batch);
// The instruction set in use; `troupe_use` chooses another (0 where the machine lacks it).
const char* troupe_instruction_set(void);
int troupe_use(const char* name);
// The kernels' one product, for measuring: rows x matrix.
void troupe_product(const troupe::Matrix* matrix, const float* x, int32_t rows, float* out);
// What a thread can do at most, for measuring: `rounds` of multiplications and additions of bytes
// in registers (returns how many there were), and reading `bytes`, a multiple of 512.
int64_t troupe_multiply(int64_t rounds);
int64_t troupe_read(const void* from, int64_t bytes);
}
