#include "cli/remote_model.h"

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/cat.h"
#include "base/error.h"
#include "cli/machine.h"
#include "hub/retry.h"

namespace minke::cli {

namespace fs = std::filesystem;

ScratchFolder::ScratchFolder() {
  std::string pattern = (fs::temp_directory_path() / "minke-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw base::io_error(pattern, "create the folder", errno);
  path_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

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

RemoteModel::RemoteModel(const Session& session, const hub::ModelStore& store, const std::string& model)
    : asked_(model) {
  const HubAccess access = hub_access(session.environment, {});
  const hub::RetryPolicy retry{.attempts = 3};
  choice_ = choose_on_hub(access, store, {.model = model, .name = {}, .quant = {}, .retry = retry});
  if (access.offline)
    throw base::Error(base::ErrorCode::not_found, base::cat(model, ": not in the store, and HF_HUB_OFFLINE is set"),
                      base::cat("minke pull ", model, " takes it from the Hugging Face cache"));
  const hub::HubClient client(access.options);
  naming([&] {
    hub::retrying(retry, {}, [&] {
      std::error_code ignored;
      for (const auto& entry : fs::directory_iterator(folder_.path())) fs::remove(entry.path(), ignored);
      headers_ = hub::fetch_headers(client, choice_.request.repo, choice_.variant, folder_.path());
    });
    shown_ = open_shown_model(store, headers_.path.string(), "");
  });
}

std::string RemoteModel::label() const { return base::cat("hf.co/", choice_.request.repo.name); }

void RemoteModel::naming(const std::function<void()>& work) const {
  try {
    work();
  } catch (const base::Error& error) {
    std::string message = error.message();
    for (std::size_t at = message.find(folder_.path()); at != std::string::npos; at = message.find(folder_.path()))
      message.replace(at, folder_.path().size(), label());
    throw base::Error(error.code(), std::move(message), error.hint());
  }
}

void RemoteModel::complete(ModelReport& report) const {
  const hub::ModelVariant& chosen = choice_.variant;
  report.path = base::cat(label(), chosen.quant.empty() ? "" : ":" + chosen.quant, " (not here)");
  if (!chosen.gguf) {
    report.tokenizer = "in tokenizer.json, which was not fetched";
    report.encoding.clear();
    report.encoding_note = "told by the tokenizer and its template, once they are here";
  }
  report.headers_fetched = headers_.fetched;
  report.memory_free = memory_bytes("MemAvailable").value_or(0);
  report.pull = asked_;
  const std::uint64_t beside = report.memory.front().bytes - report.sizes.weight_bytes;
  for (const hub::ModelVariant& variant : choice_.all) {
    const double scale = static_cast<double>(variant.bytes) / static_cast<double>(chosen.bytes);
    VariantFit fit;
    fit.quant = variant.gguf ? (variant.quant.empty() ? "gguf" : variant.quant) : "safetensors";
    fit.bytes = variant.bytes;
    fit.memory = beside + static_cast<std::uint64_t>(static_cast<double>(report.sizes.weight_bytes) * scale);
    fit.decode_limit = report.decode_limit / scale;
    fit.fits = fit.memory <= report.memory_free;
    fit.chosen = variant.files.front().path == chosen.files.front().path;
    fit.readable = variant.quant.find("IQ") == std::string::npos;
    report.variants.push_back(std::move(fit));
  }
}

}  // namespace minke::cli
