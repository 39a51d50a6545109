// A model's report as text for people and as JSON for programs.
#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/cat.h"
#include "base/utf8.h"
#include "cli/model_report.h"
#include "cli/text_format.h"

namespace minke::cli {
namespace {

namespace json = boost::json;

std::string line(std::string_view label, std::string_view value) {
  return base::cat(padded(label, 18), printable(value), "\n");
}

std::string kind_name(formats::CheckpointKind kind) {
  return kind == formats::CheckpointKind::gguf ? "gguf" : "safetensors";
}

std::string format_name(const ModelReport& r) { return r.sizes.mapped ? "tiled" : kind_name(r.kind); }

std::string file_text(const models::ModelSizes& sizes) {
  const std::string tensors = base::cat(byte_text(sizes.file_bytes), " of tensors, ");
  if (sizes.mapped)
    return base::cat(tensors, "tiled: ", byte_text(sizes.weight_bytes), " of them mapped as they are, not loaded");
  return base::cat(tensors, byte_text(sizes.weight_bytes), " once loaded");
}

std::string kv_name(kernels::KvType type) { return std::string(kernels::to_string(type)); }

std::string groups_text(const models::ModelSizes& sizes) {
  std::string text = base::cat("\n", padded("tensors", 18), padded("type", 8), padded_left("count", 6),
                               padded_left("parameters", 13), padded_left("bytes", 10), "\n");
  for (const models::TensorGroup& group : sizes.groups) {
    text += base::cat(padded(group.role, 18), padded(formats::info(group.dtype).name, 8),
                      padded_left(base::cat(group.tensors), 6), padded_left(count_text(group.parameters), 13),
                      padded_left(byte_text(group.bytes), 10), "\n");
  }
  return text;
}

std::string heads_text(const models::AttentionConfig& a) {
  if (a.kind == models::AttentionKind::mla)
    return base::cat(a.heads, " heads over a latent of ", a.mla.kv_lora_rank, " and ", a.mla.qk_rope_head_dim,
                     " rotated");
  return base::cat(a.heads, " heads over ", a.kv_heads, " of keys and values, ", a.head_dim, " each");
}

std::string shape_text(const models::DecoderConfig& c) {
  return base::cat(c.num_hidden_layers, " layers, ", c.hidden_size, " wide, ", heads_text(c.attention),
                   ", feed-forward ", c.feed_forward.intermediate_size);
}

json::object sampling_json(const models::SamplingDefaults& defaults) {
  json::object object;
  if (defaults.temperature) object["temperature"] = *defaults.temperature;
  if (defaults.top_p) object["top_p"] = *defaults.top_p;
  if (defaults.top_k) object["top_k"] = *defaults.top_k;
  if (defaults.min_p) object["min_p"] = *defaults.min_p;
  if (defaults.repeat_penalty) object["repeat_penalty"] = *defaults.repeat_penalty;
  if (defaults.do_sample) object["do_sample"] = *defaults.do_sample;
  json::array ids;
  for (const std::int64_t id : defaults.eos_token_ids) ids.emplace_back(id);
  object["eos_token_ids"] = std::move(ids);
  return object;
}

bool has_experts(const models::DecoderConfig& c) { return c.feed_forward.moe.n_routed_experts > 0; }

std::string feed_forward_text(const models::DecoderConfig& c) {
  return std::string(models::to_string(has_experts(c) ? models::FeedForwardKind::moe : models::FeedForwardKind::dense));
}

json::object mla_json(const models::MlaConfig& mla) {
  return {{"q_lora_rank", mla.q_lora_rank},
          {"kv_lora_rank", mla.kv_lora_rank},
          {"qk_nope_head_dim", mla.qk_nope_head_dim},
          {"qk_rope_head_dim", mla.qk_rope_head_dim},
          {"v_head_dim", mla.v_head_dim}};
}

json::object moe_json(const models::MoeConfig& moe) {
  return {{"routing", std::string(models::to_string(moe.routing))},
          {"n_routed_experts", moe.n_routed_experts},
          {"n_shared_experts", moe.n_shared_experts},
          {"num_experts_per_tok", moe.num_experts_per_tok},
          {"moe_intermediate_size", moe.moe_intermediate_size},
          {"n_group", moe.n_group},
          {"topk_group", moe.topk_group},
          {"routed_scaling_factor", moe.routed_scaling_factor}};
}

std::string experts_text(const models::MoeConfig& moe) {
  return base::cat(moe.num_experts_per_tok, " of ", moe.n_routed_experts, " per token, ", moe.n_shared_experts,
                   " shared, ", moe.moe_intermediate_size, " wide, routing by ", models::to_string(moe.routing));
}

json::object config_json(const models::DecoderConfig& c) {
  json::object object;
  object["vocab_size"] = c.vocab_size;
  object["hidden_size"] = c.hidden_size;
  object["layers"] = c.num_hidden_layers;
  object["attention"] = std::string(models::to_string(c.attention.kind));
  object["heads"] = c.attention.heads;
  object["kv_heads"] = c.attention.kv_heads;
  object["head_dim"] = c.attention.head_dim;
  object["feed_forward"] = feed_forward_text(c);
  object["intermediate_size"] = c.feed_forward.intermediate_size;
  if (c.attention.kind == models::AttentionKind::mla) object["mla"] = mla_json(c.attention.mla);
  if (has_experts(c)) object["moe"] = moe_json(c.feed_forward.moe);
  object["context_length"] = c.max_position_embeddings;
  object["tied_embeddings"] = c.tie_word_embeddings;
  json::object rope;
  rope["scaling"] = std::string(models::to_string(c.attention.rope.scaling));
  rope["theta"] = c.attention.rope.theta;
  rope["factor"] = c.attention.rope.factor;
  rope["original_context"] = c.attention.rope.original_max_position;
  object["rope"] = std::move(rope);
  return object;
}

/// The part of the weights that one token reads.
double read_share(const models::ModelSizes& sizes) {
  if (sizes.weight_bytes == 0) return 0;
  return static_cast<double>(sizes.bytes_per_token) / static_cast<double>(sizes.weight_bytes);
}

std::string nextn_text(const ModelReport& r) {
  const auto& nextn = r.sizes.nextn;
  const std::int64_t layers = r.config.num_nextn_predict_layers;
  return base::cat(layers, layers == 1 ? " prediction layer" : " prediction layers", ", ", grouped(nextn.tensors),
                   " tensors, ", count_text(nextn.parameters), " parameters, ", byte_text(nextn.bytes),
                   " besides: not used yet");
}

json::array groups_json(const models::ModelSizes& sizes) {
  json::array rows;
  for (const models::TensorGroup& group : sizes.groups) {
    rows.push_back({{"role", group.role},
                    {"type", std::string(formats::info(group.dtype).name)},
                    {"tensors", group.tensors},
                    {"parameters", group.parameters},
                    {"bytes", group.bytes}});
  }
  return rows;
}

json::array tensors_json(std::span<const formats::TensorView> tensors) {
  json::array rows;
  for (const formats::TensorView& tensor : tensors) {
    json::array shape;
    for (const std::uint64_t size : tensor.shape) shape.emplace_back(size);
    rows.push_back({{"name", base::to_valid_utf8(tensor.name)},
                    {"type", std::string(formats::info(tensor.dtype).name)},
                    {"shape", std::move(shape)},
                    {"bytes", tensor.bytes()}});
  }
  return rows;
}

std::string speed_text(const ModelReport& r) {
  const std::string limit = base::cat("at most ", rate_text(r.speed.decode_limit));
  const std::string speed =
      r.speed.decode == 0 ? base::cat(limit, " tok/s here")
                          : base::cat("about ", rate_text(r.speed.decode), " tok/s here (within a fifth), ", limit);
  std::string text = line("decode speed", base::cat(speed, ": ", byte_text(r.sizes.bytes_per_token), " a token (",
                                                    fixed_text(100 * read_share(r.sizes), 1), " % of the weights), ",
                                                    byte_text(static_cast<std::uint64_t>(r.read_bandwidth)),
                                                    "/s read by ", r.threads, r.threads == 1 ? " thread" : " threads"));
  if (r.speed.prefill > 0)
    text += line("prompt speed", base::cat("about ", rate_text(r.speed.prefill),
                                           " tok/s here, by what the processors compute (within a third)"));
  return text;
}

std::string fit_word(const VariantFit& variant) {
  if (!variant.readable) return "types that are not read";
  return variant.fits ? "fits" : "too large";
}

/// The forms of a model that is not here.
std::string variants_text(const ModelReport& r) {
  std::size_t width = 5;
  for (const VariantFit& variant : r.variants) width = std::max(width, variant.quant.size());
  std::string text = base::cat("\n  ", padded("to be had", width + 2), padded_left("size", 10),
                               padded_left("memory", 10), padded_left("decode", 18), "\n");
  for (const VariantFit& variant : r.variants) {
    text +=
        base::cat(variant.chosen ? "* " : "  ", padded(printable(variant.quant), width + 2),
                  padded_left(byte_text(variant.bytes), 10), padded_left(byte_text(variant.memory), 10),
                  padded_left(base::cat("about ", rate_text(variant.decode), "/s"), 18), "  ", fit_word(variant), "\n");
  }
  return base::cat(text, "memory at a context of ", grouped(r.memory.front().context), " tokens; ",
                   byte_text(r.memory_free), " are free. ", byte_text(r.headers_fetched),
                   " were fetched to know this.\nfetch it: minke pull ", printable(r.pull), "\n");
}

json::array variants_json(const ModelReport& r) {
  json::array rows;
  for (const VariantFit& variant : r.variants) {
    rows.push_back({{"quant", base::to_valid_utf8(variant.quant)},
                    {"bytes", variant.bytes},
                    {"memory", variant.memory},
                    {"decode_tokens_per_second", variant.decode},
                    {"fits", variant.fits && variant.readable},
                    {"chosen", variant.chosen}});
  }
  return rows;
}

}  // namespace

std::string rope_text(const models::RopeConfig& rope) {
  std::string text(models::to_string(rope.scaling));
  if (rope.scaling == models::RopeScaling::none) return text;
  text += base::cat(", factor ", rope.factor);
  if (rope.original_max_position > 0) {
    text += base::cat(" over ", grouped(static_cast<std::uint64_t>(rope.original_max_position)));
  }
  return text;
}

std::string report_text(const ModelReport& r) {
  const auto trained = static_cast<std::uint64_t>(r.config.max_position_embeddings);
  std::string text = line("model", r.path);
  if (!r.name.empty()) text += line("name", r.name);
  if (!r.licence.empty()) text += line("licence", r.licence);
  text += line("architecture", base::cat(r.config.architecture, " (", models::to_string(r.config.attention.kind), ", ",
                                         feed_forward_text(r.config), "), ", format_name(r),
                                         r.sizes.mapped ? base::cat(" from ", kind_name(r.kind)) : std::string()));
  if (!r.planned.empty()) text += line("weights", base::cat("not here; as the configuration says, in ", r.planned));
  text += line("shape", shape_text(r.config));
  if (has_experts(r.config)) text += line("experts", experts_text(r.config.feed_forward.moe));
  text += line("parameters", base::cat(count_text(r.sizes.parameters), ", ", count_text(r.sizes.active_parameters),
                                       " active per token"));
  text += line("vocabulary", base::cat(grouped(static_cast<std::uint64_t>(r.config.vocab_size)), " rows",
                                       r.config.tie_word_embeddings ? ", output tied to the embedding" : ""));
  text += line("context", base::cat(grouped(trained), " tokens, rope scaling ", rope_text(r.config.attention.rope)));
  text += line("tokenizer", r.tokenizer);
  text +=
      line("chat encoding", r.encoding.empty() ? r.encoding_note : base::cat(r.encoding, " (", r.encoding_note, ")"));
  text += line("sampling", r.sampling_text);
  text += line("KV cache", base::cat(byte_text(r.kv_bytes_per_token), " per token (", kv_name(r.kv_type), ")"));
  for (const MemoryNeed& need : r.memory) {
    text += line("memory", base::cat(byte_text(need.bytes), " at a context of ", grouped(need.context), " tokens",
                                     r.sizes.mapped ? " beside the mapped file" : ""));
  }
  text += line("file", file_text(r.sizes));
  if (r.sizes.nextn.tensors > 0) text += line("multi-token", nextn_text(r));
  text += speed_text(r);
  for (const std::string& warning : r.config.warnings) text += line("note", warning);
  text += groups_text(r.sizes);
  return r.variants.empty() ? text : text + variants_text(r);
}

std::string tensors_text(std::span<const formats::TensorView> tensors) {
  std::size_t width = 0;
  for (const formats::TensorView& tensor : tensors) width = std::max(width, tensor.name.size());
  std::string text;
  for (const formats::TensorView& tensor : tensors) {
    text += base::cat(padded(printable(tensor.name), width), "  ", padded(formats::info(tensor.dtype).name, 7), "  ",
                      padded(tensor.shape_text(), 16), "  ", byte_text(tensor.bytes()), "\n");
  }
  return text;
}

std::string report_json(const ModelReport& r, std::span<const formats::TensorView> tensors) {
  json::object object;
  object["path"] = r.path;
  if (!r.name.empty()) object["name"] = base::to_valid_utf8(r.name);
  if (!r.licence.empty()) object["licence"] = base::to_valid_utf8(r.licence);
  object["format"] = format_name(r);
  object["made_from"] = r.sizes.mapped ? json::value(kind_name(r.kind)) : json::value(nullptr);
  object["planned"] = r.planned.empty() ? json::value(nullptr) : json::value(r.planned);
  object["architecture"] = r.config.architecture;
  object["parameters"] = r.sizes.parameters;
  object["active_parameters"] = r.sizes.active_parameters;
  object["config"] = config_json(r.config);
  object["context_length"] = r.config.max_position_embeddings;
  object["tokenizer"] = r.tokenizer;
  object["encoding"] = r.encoding.empty() ? json::value(nullptr) : json::value(r.encoding);
  object["encoding_note"] = r.encoding_note;
  object["sampling"] = sampling_json(r.sampling);
  object["kv_type"] = kv_name(r.kv_type);
  object["kv_bytes_per_token"] = r.kv_bytes_per_token;
  json::array memory;
  for (const MemoryNeed& need : r.memory) memory.push_back({{"context", need.context}, {"bytes", need.bytes}});
  object["memory"] = std::move(memory);
  object["file_bytes"] = r.sizes.file_bytes;
  object["weight_bytes"] = r.sizes.weight_bytes;
  object["bytes_per_token"] = r.sizes.bytes_per_token;
  object["share_per_token"] = read_share(r.sizes);
  object["nextn"] = {{"layers", r.config.num_nextn_predict_layers},
                     {"tensors", r.sizes.nextn.tensors},
                     {"parameters", r.sizes.nextn.parameters},
                     {"bytes", r.sizes.nextn.bytes}};
  object["threads"] = r.threads;
  object["read_bandwidth"] = r.read_bandwidth;
  object["decode_tokens_per_second_limit"] = r.speed.decode_limit;
  if (r.speed.decode > 0) object["decode_tokens_per_second"] = r.speed.decode;
  if (r.speed.prefill > 0) object["prefill_tokens_per_second"] = r.speed.prefill;
  json::array warnings;
  for (const std::string& warning : r.config.warnings) warnings.emplace_back(base::to_valid_utf8(warning));
  object["warnings"] = std::move(warnings);
  object["tensor_groups"] = groups_json(r.sizes);
  if (!r.variants.empty()) {
    object["variants"] = variants_json(r);
    object["headers_fetched"] = r.headers_fetched;
    object["memory_free"] = r.memory_free;
  }
  if (!tensors.empty()) object["tensors"] = tensors_json(tensors);
  return json::serialize(object) + "\n";
}

}  // namespace minke::cli
