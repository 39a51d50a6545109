#include "models/moe_config.h"

#include <string>

#include "base/error.h"

namespace minke::models {

namespace {

using base::cat;
using base::Error;
using base::ErrorCode;
namespace json = boost::json;

Routing routing_from_method(const ConfigSource& source, const KeyNames& key, std::string_view method) {
  if (method == "greedy") return Routing::softmax_greedy;
  if (method == "group_limited_greedy") return Routing::softmax_group_limited;
  if (method == "noaux_tc") return Routing::sigmoid_noaux_tc;
  throw Error(ErrorCode::unsupported,
              cat(source.where(key), ": expected greedy, group_limited_greedy or noaux_tc, got '", method, "'"));
}

void read_json_routing(const ConfigSource& source, MoeConfig& moe) {
  constexpr KeyNames method{"topk_method", {}, {}};
  if (const auto name = source.find_string(method)) moe.routing = routing_from_method(source, method, *name);
  constexpr KeyNames scoring{"scoring_func", {}, {}};
  const std::string_view expected = moe.routing == Routing::sigmoid_noaux_tc ? "sigmoid" : "softmax";
  if (const auto name = source.find_string(scoring); name && *name != expected)
    throw Error(ErrorCode::unsupported, cat(source.where(scoring), ": expected ", expected, " with routing '",
                                            to_string(moe.routing), "', got '", *name, "'"));
  moe.norm_topk_prob = source.find_bool({"norm_topk_prob", {}, {}}).value_or(moe.routing == Routing::sigmoid_noaux_tc);
}

/// The scoring of a file that does not tell it: DeepSeek-V2's softmax. Only GLM-4.7-Flash was published without the
/// key although it means sigmoid; it is known, as in llama.cpp, by its 47 blocks (48 with the prediction layer) and
/// its vocabulary.
std::int64_t untold_gating(const DecoderConfig& config) {
  const std::int64_t blocks = config.num_hidden_layers + config.num_nextn_predict_layers;
  return (blocks == 47 || blocks == 48) && config.vocab_size == 154880 ? 2 : 1;
}

/// llama.cpp's numbers: 0 untold, 1 softmax, 2 sigmoid.
void read_gguf_routing(const ConfigSource& source, const Blocks& blocks, const DecoderConfig& config, MoeConfig& moe) {
  constexpr KeyNames gating{{}, {}, "expert_gating_func"};
  std::int64_t function = source.find_int(gating).value_or(0);
  if (function == 0) function = untold_gating(config);
  if (function != 1 && function != 2)
    throw Error(ErrorCode::unsupported,
                cat(source.where(gating), ": expected 1 (softmax) or 2 (sigmoid), got ", function));
  moe.routing = function == 2     ? Routing::sigmoid_noaux_tc
                : moe.n_group > 1 ? Routing::softmax_group_limited
                                  : Routing::softmax_greedy;
  moe.norm_topk_prob = source.find_bool({{}, {}, "expert_weights_norm"}).value_or(blocks.norm_topk_prob);
}

void check_counts(const ConfigSource& source, const MoeConfig& moe) {
  const auto refuse = [&](std::string_view key, std::string_view expected, std::int64_t got) {
    throw Error(ErrorCode::format, cat(source.file(), ": ", key, ": expected ", expected, ", got ", got));
  };
  if (moe.num_experts_per_tok > moe.n_routed_experts)
    refuse("num_experts_per_tok", cat("at most the ", moe.n_routed_experts, " experts"), moe.num_experts_per_tok);
  if (moe.routing == Routing::softmax_greedy) return;
  if (moe.n_routed_experts % moe.n_group != 0)
    refuse("n_group", cat("a divisor of ", moe.n_routed_experts, " experts"), moe.n_group);
  if (moe.topk_group > moe.n_group) refuse("topk_group", cat("at most the ", moe.n_group, " groups"), moe.topk_group);
  const std::int64_t reachable = moe.n_routed_experts / moe.n_group * moe.topk_group;
  if (moe.num_experts_per_tok > reachable)
    refuse("num_experts_per_tok", cat("at most the ", reachable, " experts of ", moe.topk_group, " groups"),
           moe.num_experts_per_tok);
}

const json::array* find_array(const json::object& config, std::string_view key) {
  const json::value* value = config.if_contains(key);
  return value ? value->if_array() : nullptr;
}

/// mlp_layer_types (GLM), mlp_only_layers and decoder_sparse_step (Qwen3-MoE), first_k_dense_replace (DeepSeek).
void read_layer_kinds(const ConfigSource& source, const formats::Checkpoint& checkpoint, DecoderConfig& config) {
  std::vector<FeedForwardKind>& kinds = config.feed_forward.kinds;
  const std::int64_t dense = config.feed_forward.moe.first_k_dense_replace;
  for (std::size_t layer = 0; layer < kinds.size(); ++layer)
    kinds[layer] = static_cast<std::int64_t>(layer) < dense ? FeedForwardKind::dense : FeedForwardKind::moe;
  if (source.is_gguf()) {
    for (std::size_t layer = 0; layer < kinds.size(); ++layer)
      if (!checkpoint.find(cat("blk.", layer, ".ffn_gate_inp.weight"))) kinds[layer] = FeedForwardKind::dense;
    return;
  }
  const json::object& object = checkpoint.config();
  if (const json::array* types = find_array(object, "mlp_layer_types")) {
    if (types->size() != kinds.size())
      throw Error(ErrorCode::format,
                  cat(source.file(), ": mlp_layer_types: expected ", kinds.size(), " entries, got ", types->size()));
    for (std::size_t layer = 0; layer < kinds.size(); ++layer) {
      const json::value& type = (*types)[layer];
      const std::string_view name = type.is_string() ? std::string_view(type.get_string()) : "no string";
      if (name != "dense" && name != "sparse")
        throw Error(ErrorCode::unsupported,
                    cat(source.file(), ": mlp_layer_types: expected dense or sparse, got '", name, "'"));
      kinds[layer] = name == "dense" ? FeedForwardKind::dense : FeedForwardKind::moe;
    }
  } else if (config.architecture == "glm4_moe_lite" && !source.has("first_k_dense_replace")) {
    kinds[0] = FeedForwardKind::dense;  // the class's default
  }
  if (const auto step = source.find_int({"decoder_sparse_step", {}, {}}); step && *step != 1) {
    if (*step < 1 || *step > 4096)
      throw Error(ErrorCode::format, cat(source.file(), ": decoder_sparse_step: expected 1 to 4096, got ", *step));
    for (std::size_t layer = 0; layer < kinds.size(); ++layer)
      if ((static_cast<std::int64_t>(layer) + 1) % *step != 0) kinds[layer] = FeedForwardKind::dense;
  }
  if (const json::array* layers = find_array(object, "mlp_only_layers"))
    for (const json::value& layer : *layers)
      if (layer.is_int64() && layer.get_int64() >= 0 && layer.get_int64() < config.num_hidden_layers)
        kinds[static_cast<std::size_t>(layer.get_int64())] = FeedForwardKind::dense;
}

}  // namespace

void read_moe(const ConfigSource& source, const formats::Checkpoint& checkpoint, const Blocks& blocks,
              DecoderConfig& config) {
  MoeConfig& moe = config.feed_forward.moe;
  moe.routing = blocks.routing;
  if (source.is_gguf()) {
    read_gguf_routing(source, blocks, config, moe);
  } else {
    read_json_routing(source, moe);
  }
  // DeepSeek's own V2 scales the weights only where it does not normalise them; V3 does both.
  if (moe.norm_topk_prob && moe.routing != Routing::sigmoid_noaux_tc) moe.routed_scaling_factor = 1;
  check_counts(source, moe);
  moe.shared_intermediate_size = moe.n_shared_experts * moe.moe_intermediate_size;
  if (moe.shared_intermediate_size > (1 << 20))
    throw Error(ErrorCode::format, cat(source.file(), ": n_shared_experts: ", moe.n_shared_experts, " of ",
                                       moe.moe_intermediate_size, " are wider than ", 1 << 20));
  read_layer_kinds(source, checkpoint, config);
}

}  // namespace minke::models
