#include "models/config.h"

#include <algorithm>

#include "base/error.h"
#include "models/architectures.h"
#include "models/config_source.h"
#include "models/moe_config.h"
#include "models/rope_config.h"

namespace minke::models {

namespace {

using base::cat;
using base::Error;
using base::ErrorCode;
namespace json = boost::json;

void read_int(const ConfigSource& source, const IntKey& key, DecoderConfig& config) {
  const auto value = source.find_int(key.names);
  if (!value && !key.fallback) throw Error(ErrorCode::format, cat(source.where(key.names), ": missing"));
  const std::int64_t number = value.value_or(key.fallback.value_or(0));
  if (value && (number < key.min || number > key.max))
    throw Error(ErrorCode::format,
                cat(source.where(key.names), ": expected ", key.min, " to ", key.max, ", got ", number));
  key.field(config) = number;
}

void read_float(const ConfigSource& source, const FloatKey& key, DecoderConfig& config) {
  const auto value = source.find_float(key.names);
  if (!value && !key.fallback) throw Error(ErrorCode::format, cat(source.where(key.names), ": missing"));
  const double number = value.value_or(key.fallback.value_or(0));
  if (value && (number < key.min || number > key.max))
    throw Error(ErrorCode::format,
                cat(source.where(key.names), ": expected ", key.min, " to ", key.max, ", got ", number));
  key.field(config) = number;
}

/// The value of a key as text, to compare with what it must be; nullopt when absent.
std::optional<std::string> as_text(const ConfigSource& source, const KeyNames& names, std::string_view expected) {
  if (expected == "true" || expected == "false") {
    const auto value = source.find_bool(names);
    return value ? std::optional(cat(*value)) : std::nullopt;
  }
  if (!expected.empty() && expected[0] >= '0' && expected[0] <= '9') {
    const auto value = source.find_float(names);
    return value ? std::optional(cat(*value)) : std::nullopt;
  }
  return source.find_string(names);
}

void check_fixed(const ConfigSource& source, const FixedKey& key) {
  const auto value = as_text(source, key.names, key.value);
  if (value && *value != key.value)
    throw Error(ErrorCode::unsupported, cat(source.where(key.names), ": expected ", key.value, ", got ", *value, " (",
                                            key.meaning, ", which this version does not have)"));
}

/// DeepSeek's FP8: E4M3 weights with a scale per 128 x 128 block. Activations are not quantised here, which only
/// adds precision, so activation_scheme and scale_fmt need no reading.
void check_fp8(const ConfigSource& source, const json::object& quantization) {
  const auto method = source.find_string({"quant_method", {}, {}});
  if (method != "fp8")
    throw Error(ErrorCode::unsupported,
                cat(source.where({"quant_method", {}, {}}), ": expected fp8, got '", method.value_or("nothing"),
                    "' (use unquantised or FP8 weights, or a GGUF)"));
  const auto format = source.find_string({"fmt", {}, {}});
  if (format && *format != "e4m3")
    throw Error(ErrorCode::unsupported, cat(source.where({"fmt", {}, {}}), ": expected e4m3, got '", *format, "'"));
  const json::value* size = quantization.if_contains("weight_block_size");
  const json::array* block = size ? size->if_array() : nullptr;
  if (!block || block->size() != 2 || (*block)[0] != 128 || (*block)[1] != 128)
    throw Error(ErrorCode::unsupported, cat(source.where({"weight_block_size", {}, {}}), ": expected [128, 128]"));
}

/// config.json's `architectures`, `layer_types` and `quantization_config` can each turn the model into another one.
void check_json_only(const ConfigSource& source, const json::object& config, const Architecture& architecture) {
  if (const json::value* list = config.if_contains("architectures"); list && list->is_array()) {
    for (const json::value& entry : list->get_array())
      if (!entry.is_string() || std::string_view(entry.get_string()) != architecture.causal_lm)
        throw Error(ErrorCode::unsupported,
                    cat(source.file(), ": architectures: expected ", architecture.causal_lm, ", got ",
                        entry.is_string() ? std::string_view(entry.get_string()) : std::string_view("no string")));
  }
  if (const json::value* list = config.if_contains("layer_types"); list && list->is_array()) {
    for (const json::value& entry : list->get_array())
      if (!entry.is_string() || entry.get_string() != "full_attention")
        throw Error(ErrorCode::unsupported,
                    cat(source.file(), ": layer_types: expected full_attention, got ",
                        entry.is_string() ? std::string_view(entry.get_string()) : std::string_view("no string")));
  }
  if (const json::object* quantization = source.find_object("quantization_config"))
    check_fp8(source.inside(*quantization, "quantization_config"), *quantization);
}

void fill_from_tensors(const ConfigSource& source, const formats::Checkpoint& checkpoint, DecoderConfig& config) {
  if (checkpoint.tensors().empty()) {  // a configuration alone
    if (config.vocab_size == 0) throw Error(ErrorCode::format, cat(source.file(), ": vocab_size: missing"));
    return;
  }
  const bool gguf = checkpoint.kind() == formats::CheckpointKind::gguf;
  const formats::TensorView& embedding = checkpoint.require(gguf ? "token_embd.weight" : "model.embed_tokens.weight");
  if (embedding.shape.size() != 2 || embedding.shape[0] == 0 || embedding.shape[0] > (1u << 24))
    throw Error(ErrorCode::format, cat(checkpoint.path(), ": tensor ", embedding.name,
                                       ": expected [vocab_size, hidden_size], got ", embedding.shape_text()));
  if (config.vocab_size == 0 || gguf) config.vocab_size = static_cast<std::int64_t>(embedding.shape[0]);
  if (!gguf) return;
  // GGUF has no keys for these: a tensor that is there is used.
  config.tie_word_embeddings = checkpoint.find("output.weight") == nullptr;
  config.attention.qkv_bias |= checkpoint.find("blk.0.attn_q.bias") != nullptr;
  config.attention.output_bias |= checkpoint.find("blk.0.attn_output.bias") != nullptr;
  config.feed_forward.bias |= checkpoint.find("blk.0.ffn_gate.bias") != nullptr;
}

void fill_derived(const ConfigSource& source, DecoderConfig& config) {
  AttentionConfig& attention = config.attention;
  if (attention.kv_heads == 0) attention.kv_heads = attention.heads;
  if (attention.heads % attention.kv_heads != 0)
    throw Error(ErrorCode::format, cat(source.file(), ": num_key_value_heads: expected a divisor of ", attention.heads,
                                       " heads, got ", attention.kv_heads));
  if (attention.head_dim == 0) {
    if (config.hidden_size % attention.heads != 0)
      throw Error(ErrorCode::format, cat(source.file(), ": hidden_size ", config.hidden_size,
                                         " is no multiple of num_attention_heads ", attention.heads));
    attention.head_dim = config.hidden_size / attention.heads;
  }
  if (attention.head_dim % 2 != 0 || attention.head_dim > 1024)
    throw Error(ErrorCode::format,
                cat(source.file(), ": head_dim: expected an even number of at most 1024, got ", attention.head_dim));
}

/// A GGUF tells the head sizes before the latent is absorbed, as key_length_mla (its rotated part included) and
/// value_length_mla, or without the suffix in files made before those keys existed.
void fill_mla(const ConfigSource& source, DecoderConfig& config) {
  AttentionConfig& attention = config.attention;
  MlaConfig& mla = attention.mla;
  if (source.is_gguf()) {
    const auto length = [&](std::string_view now, std::string_view before) {
      for (const std::string_view key : {now, before})
        if (const auto value = source.find_int({{}, {}, key})) {
          if (*value < 1 || *value > 2048)
            throw Error(ErrorCode::format, cat(source.where({{}, {}, key}), ": expected 1 to 2048, got ", *value));
          return *value;
        }
      throw Error(ErrorCode::format, cat(source.where({{}, {}, now}), ": missing"));
    };
    mla.qk_nope_head_dim = length("attention.key_length_mla", "attention.key_length") - mla.qk_rope_head_dim;
    mla.v_head_dim = length("attention.value_length_mla", "attention.value_length");
  }
  const auto check = [&](std::string_view name, std::int64_t value) {
    if (value < 1 || value > 1024)
      throw Error(ErrorCode::format, cat(source.file(), ": ", name, ": expected 1 to 1024, got ", value));
  };
  check("qk_nope_head_dim", mla.qk_nope_head_dim);
  check("v_head_dim", mla.v_head_dim);
  check("kv_lora_rank + qk_rope_head_dim", mla.kv_lora_rank + mla.qk_rope_head_dim);
  if (mla.qk_rope_head_dim % 2 != 0)
    throw Error(ErrorCode::format,
                cat(source.file(), ": qk_rope_head_dim: expected an even number, got ", mla.qk_rope_head_dim));
  attention.kv_heads = 1;
  attention.head_dim = mla.qk_nope_head_dim + mla.qk_rope_head_dim;
}

/// A GGUF counts its multi-token prediction layers among the blocks.
void leave_out_nextn(const ConfigSource& source, DecoderConfig& config) {
  if (config.num_nextn_predict_layers >= config.num_hidden_layers)
    throw Error(ErrorCode::format, cat(source.where({{}, {}, "nextn_predict_layers"}), ": expected fewer than the ",
                                       config.num_hidden_layers, " blocks, got ", config.num_nextn_predict_layers));
  config.num_hidden_layers -= config.num_nextn_predict_layers;
}

void check_gguf_shape_keys(const ConfigSource& source, const DecoderConfig& config) {
  const auto must_equal = [&](const KeyNames& key) {
    const auto value = source.find_int(key);
    if (value && *value != config.attention.head_dim)
      throw Error(ErrorCode::unsupported, cat(source.where(key), ": expected ", config.attention.head_dim,
                                              " (the head dimension), got ", *value));
  };
  must_equal({{}, {}, "attention.value_length"});
  must_equal({{}, {}, "rope.dimension_count"});
}

}  // namespace

std::string_view to_string(AttentionKind kind) {
  switch (kind) {
    case AttentionKind::mla:
      return "multi-head latent attention";
    case AttentionKind::gqa:
      return "grouped-query attention";
  }
  return "unknown";
}

std::string_view to_string(Routing routing) {
  switch (routing) {
    case Routing::softmax_greedy:
      return "softmax, greedy";
    case Routing::softmax_group_limited:
      return "softmax, group-limited greedy";
    case Routing::sigmoid_noaux_tc:
      return "sigmoid, noaux_tc";
  }
  return "unknown";
}

std::string_view to_string(FeedForwardKind kind) {
  switch (kind) {
    case FeedForwardKind::moe:
      return "mixture of experts";
    case FeedForwardKind::dense:
      return "dense SwiGLU";
  }
  return "unknown";
}

std::string_view to_string(RopeScaling scaling) {
  switch (scaling) {
    case RopeScaling::none:
      return "none";
    case RopeScaling::linear:
      return "linear";
    case RopeScaling::llama3:
      return "llama3";
    case RopeScaling::yarn:
      return "yarn";
  }
  return "unknown";
}

std::string architecture_name(const formats::Checkpoint& checkpoint) {
  if (checkpoint.kind() == formats::CheckpointKind::gguf) {
    const std::string* name = checkpoint.metadata().find_string("general.architecture");
    return name ? *name : std::string();
  }
  const json::value* name = checkpoint.config().if_contains("model_type");
  return name && name->is_string() ? std::string(name->get_string()) : std::string();
}

DecoderConfig read_config(const formats::Checkpoint& checkpoint) {
  const ConfigSource source(checkpoint);
  const Architecture& architecture = find_architecture(source.architecture(), checkpoint.kind(), checkpoint.path());
  DecoderConfig config;
  config.architecture = architecture.name;
  if (!source.is_gguf()) check_json_only(source, checkpoint.config(), architecture);
  for (const IntKey& key : architecture.ints) read_int(source, key, config);
  for (const FloatKey& key : architecture.floats) read_float(source, key, config);
  for (const BoolKey& key : architecture.bools) key.field(config) = source.find_bool(key.names).value_or(key.fallback);
  for (const FixedKey& key : architecture.fixed) check_fixed(source, key);
  config.attention.output_bias = config.attention.qkv_bias;  // attention_bias covers all four projections
  if (architecture.blocks.always_qkv_bias) config.attention.qkv_bias = true;
  config.attention.kind = architecture.blocks.attention;
  config.attention.qk_norm = architecture.blocks.qk_norm;
  fill_from_tensors(source, checkpoint, config);
  if (config.attention.kind == AttentionKind::mla) {
    fill_mla(source, config);
  } else {
    fill_derived(source, config);
    if (source.is_gguf()) check_gguf_shape_keys(source, config);
  }
  if (source.is_gguf()) leave_out_nextn(source, config);
  config.feed_forward.kinds.assign(static_cast<std::size_t>(config.num_hidden_layers), FeedForwardKind::dense);
  if (architecture.blocks.moe) read_moe(source, checkpoint, architecture.blocks, config);
  config.attention.rope = read_rope(source, checkpoint, config);
  return config;
}

SamplingDefaults read_sampling_defaults(const formats::Checkpoint& checkpoint) {
  SamplingDefaults defaults;
  if (checkpoint.kind() == formats::CheckpointKind::gguf) {
    const ConfigSource source(checkpoint);
    defaults.temperature = source.find_float({{}, {}, "general.sampling.temp"});
    defaults.top_p = source.find_float({{}, {}, "general.sampling.top_p"});
    defaults.min_p = source.find_float({{}, {}, "general.sampling.min_p"});
    defaults.repeat_penalty = source.find_float({{}, {}, "general.sampling.penalty_repeat"});
    defaults.top_k = source.find_int({{}, {}, "general.sampling.top_k"});
    return defaults;
  }
  const json::object& object = checkpoint.generation_config();
  const ConfigSource source = ConfigSource(checkpoint).inside(object, "generation_config.json: ");
  defaults.temperature = source.find_float({"temperature", {}, {}});
  defaults.top_p = source.find_float({"top_p", {}, {}});
  defaults.min_p = source.find_float({"min_p", {}, {}});
  defaults.repeat_penalty = source.find_float({"repetition_penalty", {}, {}});
  defaults.top_k = source.find_int({"top_k", {}, {}});
  defaults.do_sample = source.find_bool({"do_sample", {}, {}});
  if (const json::value* eos = object.if_contains("eos_token_id"); eos && !eos->is_null()) {
    if (eos->is_array()) {
      for (const json::value& id : eos->get_array())
        if (id.is_int64()) defaults.eos_token_ids.push_back(id.get_int64());
    } else if (const auto id = source.find_int({"eos_token_id", {}, {}})) {
      defaults.eos_token_ids.push_back(*id);
    }
  }
  return defaults;
}

}  // namespace minke::models
