#include <algorithm>

#include "models/blocks.h"

namespace minke::models {

namespace {

/// Fills ids and weights of every row.
void route_rows(const StepContext& step, const MoeWeights& weights, std::size_t rows, std::size_t experts,
                std::size_t top_k) {
  const MoeConfig& moe = step.config.feed_forward.moe;
  ExpertPlan& plan = step.workspace.plan;
  const float* bias = weights.router_bias.empty() ? nullptr : weights.router_bias.data();
  // Here, for tasks may not throw.
  check_router_scores(std::span<const float>(plan.scores).first(rows * experts), experts);
  const auto one_row = [&](std::size_t r) {
    choose_experts(moe, std::span(plan.scores).subspan(r * experts, experts), bias, plan.ids.data() + r * top_k,
                   plan.weights.data() + r * top_k);
  };
  step.ops.pool().run(rows, one_row);
}

/// Sorts (row, rank) pairs by expert, rows in order within each: counting sort.
void assign_slots(ExpertPlan& plan, std::size_t rows, std::size_t experts, std::size_t top_k) {
  std::fill(plan.first.begin(), plan.first.end(), 0u);
  for (std::size_t i = 0; i < rows * top_k; ++i) ++plan.first[static_cast<std::size_t>(plan.ids[i]) + 1];
  for (std::size_t e = 0; e < experts; ++e) plan.first[e + 1] += plan.first[e];
  for (std::size_t i = 0; i < rows * top_k; ++i) {
    const std::uint32_t slot = plan.first[static_cast<std::size_t>(plan.ids[i])]++;
    plan.slots[i] = slot;
    plan.slot_rows[slot] = static_cast<std::uint32_t>(i / top_k);
  }
  // Filling moved every start to the next expert's.
  for (std::size_t e = experts; e > 0; --e) plan.first[e] = plan.first[e - 1];
  plan.first[0] = 0;
}

/// The shape of a call.
struct MoeShape {
  MoeShape(const StepContext& step, const MoeConfig& moe)
      : rows(step.rows.size()),
        hidden(static_cast<std::size_t>(step.config.hidden_size)),
        inner(static_cast<std::size_t>(moe.moe_intermediate_size)),
        experts(static_cast<std::size_t>(moe.n_routed_experts)),
        top_k(static_cast<std::size_t>(moe.num_experts_per_tok)) {}
  std::size_t slots() const { return rows * top_k; }
  std::size_t rows, hidden, inner, experts, top_k;
};

/// The slots of every expert that has some, as blocks of rows of workspace.plan.in.
void fill_blocks(Workspace& ws, const MoeShape& shape) {
  ws.blocks.clear();
  for (std::size_t e = 0; e < shape.experts; ++e) {
    const std::size_t first = ws.plan.first[e];
    const std::size_t rows = ws.plan.first[e + 1] - first;
    if (rows > 0) ws.blocks.push_back({.x = ws.plan.in.data() + first * shape.hidden, .first = first, .rows = rows});
  }
}

/// silu(gate(x)) * up(x) of every expert and its rows, and of the shared experts, in one stage.
void multiply_inner(const StepContext& step, const MoeWeights& weights, const MoeShape& shape) {
  const MoeConfig& moe = step.config.feed_forward.moe;
  Workspace& ws = step.workspace;
  fill_blocks(ws, shape);
  // A single row is every expert's input as it is.
  const bool gathers = shape.rows > 1;
  if (gathers) {
    const bool floats = step.ops.reads_floats(weights.gate[0]) || step.ops.reads_floats(weights.up[0]);
    step.ops.gather(ws.activations, ws.blocks, ws.plan.slot_rows.data(), floats, ws.plan.in.data(),
                    ws.slot_activations);
  }
  step.ops.begin(ws.plan.joined.data(), shape.slots(), shape.inner, shape.inner, ws.slot_joined,
                 step.ops.forms_for(weights.down[0]));
  ws.gated.clear();
  if (moe.shared_intermediate_size > 0)
    ws.gated.push_back(gated_product(step, weights.shared, moe.shared_intermediate_size));
  std::size_t block = 0;
  for (std::size_t e = 0; e < shape.experts; ++e) {
    const std::size_t first = ws.plan.first[e];
    if (ws.plan.first[e + 1] == first) continue;
    const kernels::RowBlock& slots = ws.blocks[block++];
    ws.gated.push_back({.x = gathers ? &ws.slot_activations : &ws.activations,
                        .block = gathers ? slots : kernels::RowBlock{.x = ws.normed.data(), .first = 0, .rows = 1},
                        .gate = &weights.gate[e],
                        .up = &weights.up[e],
                        .y = ws.plan.joined.data() + first * shape.inner,
                        .ldy = shape.inner,
                        .out = &ws.slot_joined,
                        .out_first = first});
  }
  step.ops.gated(ws.gated);
}

/// Back to the width of the model: workspace.plan.out, and the shared experts' share in workspace.delta.
void multiply_down(const StepContext& step, const MoeWeights& weights, const MoeShape& shape) {
  const MoeConfig& moe = step.config.feed_forward.moe;
  Workspace& ws = step.workspace;
  ws.products.clear();
  if (moe.shared_intermediate_size > 0)
    ws.products.push_back(kernels::Ops::product(ws.joined, weights.shared.down.weight,
                                                weights.shared.down.bias_or_null(), ws.delta.data(), shape.hidden));
  for (std::size_t e = 0; e < shape.experts; ++e) {
    const std::size_t first = ws.plan.first[e];
    const std::size_t rows = ws.plan.first[e + 1] - first;
    if (rows == 0) continue;
    ws.products.push_back({.x = &ws.slot_joined,
                           .block = {.x = ws.plan.joined.data() + first * shape.inner, .first = first, .rows = rows},
                           .weight = &weights.down[e],
                           .y = ws.plan.out.data() + first * shape.hidden,
                           .ldy = shape.hidden});
  }
  step.ops.linear(ws.products);
}

}  // namespace

void feed_forward_moe(const StepContext& step, const MoeWeights& weights) {
  const MoeConfig& moe = step.config.feed_forward.moe;
  Workspace& ws = step.workspace;
  const MoeShape shape(step, moe);
  kernels::Product scores =
      kernels::Ops::product(ws.activations, weights.router.weight, nullptr, ws.plan.scores.data(), shape.experts);
  scores.careful = true;  // rounding may choose another expert
  step.ops.linear(std::span(&scores, 1));
  route_rows(step, weights, shape.rows, shape.experts, shape.top_k);
  assign_slots(ws.plan, shape.rows, shape.experts, shape.top_k);
  multiply_inner(step, weights, shape);
  multiply_down(step, weights, shape);
  // In order of rank, then plus the shared experts' output.
  const bool shared = moe.shared_intermediate_size > 0;
  float* sum = shared ? ws.normed.data() : ws.delta.data();
  step.ops.weighted_sums(ws.plan.out.data(), ws.plan.slots.data(), ws.plan.weights.data(), shape.top_k, shape.rows,
                         shape.hidden, sum);
  if (shared) step.ops.add(ws.delta.data(), shape.hidden, sum, shape.hidden, shape.rows, shape.hidden);
}

}  // namespace minke::models
