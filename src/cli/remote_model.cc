#include "cli/remote_model.h"

#include <filesystem>
#include <system_error>

#include "base/cat.h"
#include "base/error.h"
#include "base/memory.h"

namespace minke::cli {

namespace fs = std::filesystem;

bool is_remote(const hub::ModelStore& store, const std::string& model) {
  std::error_code ignored;
  if (!names_hub_model(store.gallery(), model) || fs::exists(model, ignored)) return false;
  try {
    store.resolve(model);
    return false;
  } catch (const base::Error& error) {
    if (error.code() != base::ErrorCode::not_found) throw;
    return true;
  }
}

RemoteModel::RemoteModel(const Session& session, const hub::ModelStore& store, const std::string& model,
                         const EngineFlags& engine)
    : asked_(model), engine_(engine) {
  const HubAccess access = hub_access(session.environment, {});
  const hub::RetryPolicy retry{.attempts = 3};
  choice_ = choose_on_hub(
      access, store, {.model = model, .name = {}, .quant = {}, .retry = retry, .engine = engine, .must_run = true});
  if (access.offline)
    throw base::Error(base::ErrorCode::not_found, base::cat(model, ": not in the store, and HF_HUB_OFFLINE is set"),
                      base::cat("minke pull ", model, " takes it from the Hugging Face cache"));
  if (choice_.headers == nullptr)
    choice_.headers = std::make_shared<const ProbedModel>(access, store, choice_.request.repo, choice_.variant, retry);
}

void RemoteModel::complete(ModelReport& report) const {
  const hub::ModelVariant& chosen = choice_.variant;
  report.path = base::cat(label(), chosen.quant.empty() ? "" : ":" + chosen.quant, " (not here)");
  if (!chosen.gguf) {
    report.tokenizer = "in tokenizer.json, which was not fetched";
    report.encoding.clear();
    report.encoding_note = "told by the tokenizer and its template, once they are here";
  }
  report.headers_fetched = choice_.headers->bytes_fetched();
  report.memory_free = base::available_memory();
  report.pull = asked_;
  const hub::MemoryRoom room = scaled_room(report, chosen.bytes, engine_);
  for (const hub::ModelVariant& variant : choice_.all) {
    VariantFit fit;
    fit.quant = variant.gguf ? (variant.quant.empty() ? "gguf" : variant.quant) : "safetensors";
    fit.bytes = variant.bytes;
    fit.memory = room.need(variant.bytes);
    fit.decode = report.speed.decode * static_cast<double>(chosen.bytes) / static_cast<double>(variant.bytes);
    fit.fits = fit.memory <= room.bytes;
    fit.chosen = variant.files.front().path == chosen.files.front().path;
    fit.readable = hub::is_readable(variant);
    report.variants.push_back(std::move(fit));
  }
}

}  // namespace minke::cli
