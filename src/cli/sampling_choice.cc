#include "cli/sampling_choice.h"

#include <random>
#include <utility>

#include "base/cat.h"
#include "text/breaker_tokens.h"

namespace minke::cli {
namespace {

struct Advice {
  double temperature, top_p;
  std::int64_t top_k;
};

/// What the makers recommend on their model cards; none where they don't, or not for the whole family.
std::optional<Advice> family_advice(std::optional<text::Encoding> encoding, text::Thinking thinking) {
  using text::Encoding;
  if (!encoding) return std::nullopt;
  switch (*encoding) {
    case Encoding::r1_distill_qwen:
    case Encoding::r1_distill_llama:
    case Encoding::r1_distill_original:
    case Encoding::r1_0528_qwen3:
    case Encoding::deepseek_r1:
      return Advice{0.6, 0.95, 0};
    case Encoding::qwen3:
      return thinking == text::Thinking::off ? Advice{0.7, 0.8, 20} : Advice{0.6, 0.95, 20};
    case Encoding::qwen3_thinking:
      return Advice{0.6, 0.95, 20};
    case Encoding::qwen2:
    case Encoding::qwen2_5:
      return Advice{0.7, 0.8, 20};
    case Encoding::llama3:
    case Encoding::llama3_1:
      return Advice{0.6, 0.9, 0};
    case Encoding::smollm2:
      return Advice{0.2, 0.9, 0};
    case Encoding::chatml:
    case Encoding::deepseek_llm:
    case Encoding::deepseek_v2_5:
    case Encoding::deepseek_v3:
    case Encoding::deepseek_v3_1:
    case Encoding::glm4_5:
    case Encoding::glm4_7:
      break;
  }
  return std::nullopt;
}

bool is_given(const models::SamplingDefaults& d) {
  return d.temperature || d.top_p || d.min_p || d.top_k || (d.do_sample && !*d.do_sample);
}

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

}  // namespace

SamplingChoice choose_sampling(const SamplingFlags& flags, const models::SamplingDefaults& defaults,
                               std::optional<text::Encoding> encoding, text::Thinking thinking,
                               const text::Tokenizer* tokenizer) {
  SamplingChoice choice;
  engine::SamplingParams& p = choice.params;
  p.repeat_penalty = defaults.repeat_penalty.value_or(1.0);
  if (is_given(defaults)) {
    choice.source = "from the checkpoint";
    p.temperature = defaults.do_sample == false ? 0.0 : defaults.temperature.value_or(1.0);
    p.top_p = defaults.top_p.value_or(1.0);
    p.top_k = defaults.top_k.value_or(0);
    p.min_p = defaults.min_p.value_or(0.0);
  } else {
    const std::optional<Advice> advised = family_advice(encoding, thinking);
    const Advice advice = advised.value_or(Advice{0.7, 0.95, 0});
    choice.source = encoding && advised ? base::cat("as advised for ", text::to_string(*encoding)) : "general defaults";
    p.temperature = advice.temperature;
    p.top_p = advice.top_p;
    p.top_k = advice.top_k;
  }
  p.temperature = flags.temperature.value_or(p.temperature);
  p.top_p = flags.top_p.value_or(p.top_p);
  p.top_k = flags.top_k.value_or(p.top_k);
  p.min_p = flags.min_p.value_or(p.min_p);
  p.repeat_penalty = flags.repeat_penalty.value_or(p.repeat_penalty);
  p.presence_penalty = flags.presence_penalty.value_or(p.presence_penalty);
  p.frequency_penalty = flags.frequency_penalty.value_or(p.frequency_penalty);
  p.logit_bias = flags.logit_bias;
  p.dry.multiplier = flags.dry_multiplier.value_or(p.dry.multiplier);
  p.dry.base = flags.dry_base.value_or(p.dry.base);
  p.dry.allowed_length = flags.dry_allowed_length.value_or(p.dry.allowed_length);
  p.dry.range = flags.dry_range.value_or(p.dry.range);
  if (tokenizer != nullptr && p.dry.multiplier > 0)
    for (const std::string& breaker : flags.dry_breakers)
      if (auto tokens = text::breaker_tokens(*tokenizer, breaker); !tokens.empty())
        p.dry.breakers.push_back(std::move(tokens));
  p.seed = flags.seed ? *flags.seed : random_seed();
  p.validate();
  return choice;
}

std::string sampling_text(const engine::SamplingParams& params) {
  std::string text = base::cat("temperature ", params.temperature);
  if (params.temperature > 0) {
    if (params.top_k > 0) text += base::cat(", top-k ", params.top_k);
    if (params.top_p < 1.0) text += base::cat(", top-p ", params.top_p);
    if (params.min_p > 0.0) text += base::cat(", min-p ", params.min_p);
  }
  if (params.repeat_penalty != 1.0) text += base::cat(", repeat penalty ", params.repeat_penalty);
  if (params.presence_penalty != 0) text += base::cat(", presence penalty ", params.presence_penalty);
  if (params.frequency_penalty != 0) text += base::cat(", frequency penalty ", params.frequency_penalty);
  if (params.dry.multiplier != 0) text += base::cat(", DRY ", params.dry.multiplier);
  if (!params.logit_bias.empty()) text += base::cat(", ", params.logit_bias.size(), " biases");
  return text;
}

}  // namespace minke::cli
