#include "models/decoder.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "models/blocks.h"
#include "models/estimate.h"

namespace minke::models {

namespace {

/// What reads the normed input of a layer's halves.
kernels::ActivationForms forms_for_attention(const kernels::Ops& ops, const LayerWeights& layer) {
  if (const auto* mla = std::get_if<MlaWeights>(&layer.attention))
    return ops.forms_for(mla->q.weight, mla->q_a.weight, mla->kv_a.weight);
  const auto& gqa = std::get<GqaWeights>(layer.attention);
  return ops.forms_for(gqa.q.weight, gqa.k.weight, gqa.v.weight);
}
kernels::ActivationForms forms_for_feed_forward(const kernels::Ops& ops, const LayerWeights& layer) {
  if (const auto* dense = std::get_if<DenseWeights>(&layer.feed_forward))
    return ops.forms_for(dense->gate.weight, dense->up.weight);
  // A layer's experts are of one type.
  const auto& moe = std::get<MoeWeights>(layer.feed_forward);
  return ops.forms_for(moe.router.weight, moe.gate[0], moe.up[0], moe.shared.gate.weight, moe.shared.up.weight);
}

}  // namespace

Decoder::Decoder(DecoderConfig config, DecoderWeights weights, kernels::KvType kv_type)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      kv_layout_(models::kv_layout(config_, kv_type)),
      rope_(config_.attention.rope) {}

void Decoder::begin_step(std::span<const BatchRow> batch, const kernels::Ops& ops, Workspace& workspace) const {
  for (std::size_t i = 0; i < batch.size(); ++i) {
    workspace.tokens[i] = batch[i].token;
    workspace.rows[i] = {.sequence = batch[i].sequence, .position = batch[i].position};
  }
  ops.embed(weights_.embedding.weight, std::span(workspace.tokens).first(batch.size()), workspace.hidden.data(),
            static_cast<std::size_t>(config_.hidden_size));
  const std::size_t half = rope_.half();
  const auto fill_angles = [&](std::size_t i) {
    rope_.angles(batch[i].position, workspace.cos.data() + i * half, workspace.sin.data() + i * half);
  };
  ops.pool().run(batch.size(), fill_angles);
}

void Decoder::output(const kernels::Ops& ops, std::span<const BatchRow> batch, Workspace& workspace, float* logits,
                     float* hidden_out) const {
  const auto hidden = static_cast<std::size_t>(config_.hidden_size);
  const auto move_row = [hidden](std::vector<float>& rows, std::size_t from, std::size_t to) {
    if (from != to) std::copy_n(rows.data() + from * hidden, hidden, rows.data() + to * hidden);
  };
  // Rows that want something move to the front (a row only ever moves forward onto one already read).
  std::size_t wanted = 0, with_logits = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!batch[i].wants_logits && !batch[i].wants_hidden) continue;
    move_row(workspace.hidden, i, wanted);
    move_row(workspace.delta, i, wanted);
    ++wanted;
    with_logits += batch[i].wants_logits ? 1 : 0;
  }
  if (wanted == 0) return;
  ops.add_norm_prepare(workspace.hidden.data(), weights_.layers.empty() ? nullptr : workspace.delta.data(), wanted,
                       hidden, weights_.output_norm.data(), static_cast<float>(config_.rms_norm_eps),
                       workspace.normed.data(), workspace.activations);
  std::size_t from = 0, to = 0;
  for (const BatchRow& row : batch) {
    if (!row.wants_logits && !row.wants_hidden) continue;
    if (row.wants_hidden) {
      std::copy_n(workspace.normed.data() + from * hidden, hidden, hidden_out);
      hidden_out += hidden;
    }
    if (row.wants_logits) move_row(workspace.normed, from, to++);
    ++from;
  }
  if (with_logits == 0) return;
  if (with_logits < wanted) ops.prepare(workspace.normed.data(), with_logits, hidden, hidden, workspace.activations);
  const Linear& matrix = weights_.output_or_embedding();
  ops.linear(workspace.activations, matrix.weight, matrix.bias_or_null(), logits, vocab_size());
}

void Decoder::check_files() const {
  for (const auto& file : weights_.files) file->check();
}

void Decoder::forward(const kernels::Ops& ops, std::span<const BatchRow> batch,
                      std::span<const kernels::KvView> sequences, Workspace& workspace, float* logits,
                      float* hidden_out) const {
  assert(!batch.empty() && batch.size() <= workspace.max_rows);
  begin_step(batch, ops, workspace);
  const StepContext step{ops,       config_,  kv_layout_, std::span(std::as_const(workspace.rows)).first(batch.size()),
                         sequences, workspace};
  const auto hidden = static_cast<std::size_t>(config_.hidden_size);
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  for (std::size_t layer = 0; layer < weights_.layers.size(); ++layer) {
    const LayerWeights& w = weights_.layers[layer];
    ops.add_norm_prepare(workspace.hidden.data(), layer == 0 ? nullptr : workspace.delta.data(), batch.size(), hidden,
                         w.attention_norm.data(), eps, workspace.normed.data(), workspace.activations,
                         forms_for_attention(ops, w));
    const std::size_t layer_offset = layer * kv_layout_.bytes();
    if (const auto* mla = std::get_if<MlaWeights>(&w.attention))
      attend_mla(step, *mla, layer_offset);
    else
      attend_gqa(step, std::get<GqaWeights>(w.attention), layer_offset);
    ops.add_norm_prepare(workspace.hidden.data(), workspace.delta.data(), batch.size(), hidden,
                         w.feed_forward_norm.data(), eps, workspace.normed.data(), workspace.activations,
                         forms_for_feed_forward(ops, w));
    if (const auto* moe = std::get_if<MoeWeights>(&w.feed_forward))
      feed_forward_moe(step, *moe);
    else
      feed_forward_dense(step, std::get<DenseWeights>(w.feed_forward), config_.feed_forward.intermediate_size);
  }
  output(ops, batch, workspace, logits, hidden_out);
}

}  // namespace minke::models
