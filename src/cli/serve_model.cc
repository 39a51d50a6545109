#include "cli/serve_model.h"

#include <ctime>
#include <filesystem>
#include <random>
#include <span>
#include <utility>

#include "api/constraint.h"
#include "base/cat.h"
#include "base/sha256.h"
#include "cli/sampling_choice.h"

namespace minke::cli {
namespace {

class EngineGenerator final : public api::Generator {
 public:
  EngineGenerator(std::shared_ptr<const formats::Checkpoint> checkpoint, const engine::EngineOptions& options)
      : checkpoint_(std::move(checkpoint)), engine_(*checkpoint_, options) {}

  engine::Reply submit(engine::Request request, std::function<void()> notify) override {
    return engine_.submit(std::move(request), std::move(notify));
  }

  api::GeneratorStatus status() const override {
    const engine::EngineHealth health = engine_.health();
    return {.steps = health.steps,
            .last_step_age = health.last_step_age,
            .stuck = health.stuck,
            .running = health.running,
            .waiting = health.waiting,
            .cache_blocks = health.cache_blocks,
            .free_blocks = health.free_blocks,
            .cached_blocks = health.cached_blocks,
            .cache_hits = health.cache_hits,
            .evictions = health.evictions,
            .preemptions = health.preemptions,
            .drafted = health.drafted,
            .accepted = health.accepted,
            .disk_read = health.disk_read,
            .disk_written = health.disk_written,
            .disk_refused = health.disk_refused,
            .disk_bytes = health.disk_bytes};
  }

  engine::EngineInfo info() const { return engine_.info(); }
  std::size_t hidden_size() const { return static_cast<std::size_t>(engine_.config().hidden_size); }

 private:
  std::shared_ptr<const formats::Checkpoint> checkpoint_;
  engine::Engine engine_;
};

std::string hex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte b : bytes) {
    text.push_back(kDigits[std::to_integer<std::size_t>(b >> 4)]);
    text.push_back(kDigits[std::to_integer<std::size_t>(b & std::byte{15})]);
  }
  return text;
}

/// Replies with one fingerprint, request and seed have the same bits.
std::string fingerprint_of(const std::string& name, const engine::EngineInfo& info) {
  const std::string arithmetic = base::cat(name, "|", info.weight_bytes, "|", kernels::to_string(info.numerics), "|",
                                           info.kv_type == kernels::KvType::f32 ? "f32" : "bf16");
  const base::Digest digest = base::Sha256().add(arithmetic).finish();
  return "fp_" + hex(std::span(digest).first(6));
}

std::string random_secret() {
  std::random_device device;
  std::string secret;
  for (int i = 0; i < 8; ++i) secret += base::cat(device(), ".");
  return secret;
}

}  // namespace

ServedModel load_served_model(const std::shared_ptr<const formats::Checkpoint>& checkpoint, TextModel text,
                              const engine::EngineOptions& options, ServedAs as) {
  api::mark_fill_markers(*text.tokenizer);  // before anybody is told which tokens are control
  engine::EngineOptions with_secret = options;
  if (with_secret.secret.empty()) with_secret.secret = random_secret();
  with_secret.token_bytes = token_bytes(*text.tokenizer);
  const models::SamplingDefaults defaults = models::read_sampling_defaults(*checkpoint);
  auto generator = std::make_unique<EngineGenerator>(checkpoint, with_secret);
  ServedModel served;
  served.info = generator->info();
  auto model = std::make_shared<api::Model>();
  const auto kind = text.encoding ? std::optional(text.encoding->kind()) : std::nullopt;
  for (const text::Thinking thinking : {text::Thinking::automatic, text::Thinking::on, text::Thinking::off}) {
    model->sampling[static_cast<std::size_t>(thinking)] =
        choose_sampling(SamplingFlags(), defaults, kind, thinking).params;
  }
  model->stop_tokens = stop_tokens(text, defaults);
  model->fingerprint = fingerprint_of(as.name, served.info);
  model->name = std::move(as.name);
  model->aliases = std::move(as.aliases);
  model->created = static_cast<std::int64_t>(std::time(nullptr));
  model->context = served.info.context;
  model->architecture = models::architecture_name(*checkpoint);
  model->hidden_size = generator->hidden_size();
  model->bytes = served.info.weight_bytes;
  model->description = start_text(served.info, options.context != 0);
  model->thinking = as.chat.thinking();
  model->date = [chat = std::move(as.chat)] { return chat.date_text(); };
  model->tokenizer = std::move(text.tokenizer);
  model->encoding = std::move(text.encoding);
  model->grammars = api::make_compiler(*model->tokenizer, model->stop_tokens);
  model->generator = std::move(generator);
  served.model = std::move(model);
  return served;
}

std::string served_name(const std::string& model) {
  const std::filesystem::path path(model);
  if (model.find('/') == std::string::npos && path.extension() != ".gguf") return model;
  const std::filesystem::path last = path.has_filename() ? path.filename() : path.parent_path().filename();
  return last.extension() == ".gguf" ? last.stem().string() : last.string();
}

}  // namespace minke::cli
