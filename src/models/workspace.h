// Scratch of a forward step, allocated once for a largest number of rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/ops.h"
#include "models/config.h"

namespace minke::models {

/// Floats per row of each buffer; 0 where the configuration has no use for it.
struct WorkspaceSizes {
  explicit WorkspaceSizes(const DecoderConfig& config);

  /// Everything for `rows` rows.
  std::uint64_t bytes(std::size_t rows) const;

  std::size_t hidden = 0, q = 0, k = 0, v = 0, attended = 0, inner = 0, angles = 0;
  std::size_t q_low = 0, q_latent = 0, latent_out = 0;   ///< multi-head latent attention
  std::size_t experts = 0, top_k = 0, expert_inner = 0;  ///< mixture of experts
  std::size_t widest = 0;                                ///< the widest input of a product outside experts and heads
  std::size_t head_rows = 0, head_inputs = 0;            ///< products per head: rows for each row, their widest input
  std::size_t attention_parts = 0;                       ///< in all, whatever the rows
  std::size_t blocks = 0;                                ///< products over heads or experts in one stage
};

/// How a step's rows are dealt out to experts: slot s is one (row, rank) pair; an expert's slots follow one
/// another.
struct ExpertPlan {
  std::vector<float> scores;             ///< (rows, experts): the router's outputs
  std::vector<std::int32_t> ids;         ///< (rows, top_k), best first
  std::vector<float> weights;            ///< (rows, top_k)
  std::vector<std::uint32_t> slots;      ///< (rows, top_k): where the pair's result lies
  std::vector<std::uint32_t> slot_rows;  ///< (rows * top_k): the row a slot belongs to
  std::vector<std::uint32_t> first;      ///< (experts + 1): an expert's first slot
  std::vector<float> in, joined, out;    ///< (slots, hidden_size), (slots, moe_intermediate_size), (slots, hidden_size)
};

struct Workspace {
  Workspace(const DecoderConfig& config, std::size_t max_rows);

  std::size_t max_rows;
  std::vector<float> hidden;           ///< (rows, hidden_size): the residual stream
  std::vector<float> normed;           ///< (rows, hidden_size): the input of a block
  std::vector<float> delta;            ///< (rows, hidden_size): what a block adds to `hidden`
  std::vector<float> q;                ///< (rows, heads * head_dim)
  std::vector<float> k, v;             ///< (rows, kv_heads * head_dim); MLA: k is (rows, kv_lora_rank + rope)
  std::vector<float> q_low;            ///< (rows, q_lora_rank)
  std::vector<float> q_latent;         ///< (rows, heads, latent stride)
  std::vector<float> latent_out;       ///< (rows, heads, kv_lora_rank)
  std::vector<float> attention_parts;  ///< of a few rows that share a long past out among threads
  std::vector<float> attended;         ///< (rows, heads * value head_dim)
  std::vector<float> gated_y;   ///< (rows, intermediate_size), silu(gate) * up of dense layers and shared experts
  std::vector<float> cos, sin;  ///< (rows, rope half)
  ExpertPlan plan;
  std::vector<kernels::RowBlock> blocks;
  std::vector<kernels::Product> products;
  std::vector<kernels::GatedProduct> gated;
  std::vector<std::int32_t> tokens;
  std::vector<kernels::RowRef> rows;
  kernels::Activations activations;       ///< the input of a block or product
  kernels::Activations head_activations;  ///< the same, head by head
  kernels::Activations joined;            ///< silu(gate) * up of dense layers and shared experts
  kernels::Activations slot_activations;  ///< the experts' input, slot by slot
  kernels::Activations slot_joined;       ///< silu(gate) * up of the experts
};

}  // namespace minke::models
