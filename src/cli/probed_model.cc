#include "cli/probed_model.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "base/cat.h"
#include "base/error.h"

namespace minke::cli {

namespace fs = std::filesystem;

ProbedModel::ProbedModel(const HubAccess& access, const hub::ModelStore& store, const hub::Repository& repo,
                         const hub::ModelVariant& variant, const hub::RetryPolicy& retry)
    : label_(base::cat("hf.co/", repo.name)) {
  const hub::HubClient client(access.options);
  naming([&] {
    hub::retrying(retry, access.options.network.cancelled, [&] {
      std::error_code ignored;
      for (const auto& entry : fs::directory_iterator(folder_.path())) fs::remove(entry.path(), ignored);
      headers_ = hub::fetch_headers(client, repo, variant, folder_.path());
    });
    shown_ = open_shown_model(store, headers_.path.string(), "");
  });
}

void ProbedModel::naming(const std::function<void()>& work) const {
  try {
    work();
  } catch (const base::Error& error) {
    std::string message = error.message();
    for (std::size_t at = message.find(folder_.path()); at != std::string::npos; at = message.find(folder_.path()))
      message.replace(at, folder_.path().size(), label_);
    throw base::Error(error.code(), std::move(message), error.hint());
  }
}

}  // namespace minke::cli
