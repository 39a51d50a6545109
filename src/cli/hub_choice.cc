#include "cli/hub_choice.h"

#include <optional>

#include "base/cat.h"
#include "base/error.h"
#include "base/quote.h"
#include "cli/available_models.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/text_format.h"
#include "hub/hub_name.h"
#include "hub/near_names.h"
#include "hub/store_record.h"

namespace minke::cli {
namespace {

/// The repository that was named, or whose name in the gallery was.
struct Asked {
  hub::HubName name;
  std::string store_name;  ///< of a gallery's model; else empty
};

Asked asked_for(const hub::Gallery& gallery, const HubQuestion& flags) {
  Asked asked;
  if (auto name = hub::parse_hub_name(flags.model)) {
    asked.name = *std::move(name);
  } else if (const auto hit = gallery.find(flags.model)) {
    if (!hit->entry->missing.empty())
      warn(base::cat(hit->entry->name, " does not run yet: ", printable(hit->entry->missing)));
    asked.name.repo = hit->entry->repo;
    asked.name.what = hit->quant;
    asked.store_name = store_name_of(*hit->entry, flags.quant.empty() ? hit->quant : flags.quant);
  } else {
    std::vector<std::string> known;
    for (const hub::GalleryEntry& entry : gallery.entries()) known.push_back(entry.name);
    std::string near;
    for (const std::string& other : hub::near_names(flags.model, known))
      near += base::cat(near.empty() ? "near: " : ", ", other);
    throw UsageError(
        base::cat("expected a name of `minke list --available`, USER/REPO, hf.co/USER/REPO or the address of "
                  "a repository, got ",
                  base::quote_name(flags.model)),
        near.empty() ? "for instance: minke pull Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M" : near);
  }
  if (!flags.quant.empty()) asked.name.what = flags.quant;
  if (asked.name.revision.empty()) asked.name.revision = flags.revision;
  return asked;
}

hub::Repository list_repository(const HubAccess& access, const hub::HubName& name, const hub::RetryPolicy& retry) {
  if (!access.offline) {
    const hub::HubClient client(access.options);
    hub::Repository repo;
    hub::retrying(retry, access.options.network.cancelled, [&] { repo = client.list(name.repo, name.revision); });
    return repo;
  }
  if (auto snapshot = access.cache.snapshot(name.repo, name.revision)) return *std::move(snapshot);
  throw base::Error(base::ErrorCode::not_found,
                    base::cat(name.repo, ": revision ", name.revision, " is not in the Hugging Face cache ",
                              access.cache.root().string(), ", and HF_HUB_OFFLINE is set"),
                    "unset HF_HUB_OFFLINE to fetch it");
}

/// The model's file of an earlier pull under this name: free memory may be less today, but the choice stays.
std::string file_of_before(const hub::ModelStore& store, const std::string& name, const std::string& repo) {
  const auto record = hub::read_record(store.root() / hub::folder_for_name(name));
  if (!record || record->source != "hub" || record->repo != repo || record->files.empty()) return {};
  const std::string& file = record->files.front().name;
  return file.ends_with(".gguf") ? file : std::string();
}

std::string tag_of(const hub::ModelVariant& variant, const hub::HubName& name) {
  if (!variant.gguf) return {};
  if (!variant.quant.empty()) return variant.quant;
  return name.what.empty() ? std::string() : name.what.substr(name.what.rfind('/') + 1);
}

}  // namespace

HubChoice choose_on_hub(const HubAccess& access, const hub::ModelStore& store, const HubQuestion& flags) {
  Asked asked = asked_for(store.gallery(), flags);
  hub::HubName& name = asked.name;
  if (name.what.empty() && !asked.store_name.empty()) name.what = file_of_before(store, asked.store_name, name.repo);
  HubChoice choice;
  hub::PullRequest& request = choice.request;
  request.repo = list_repository(access, name, flags.retry);
  if (request.repo.name != name.repo) note(base::cat("minke: ", name.repo, " is now ", request.repo.name, "\n"));
  choice.all = hub::variants(request.repo);
  choice.variant = name.what.empty() ? hub::choose_best(request.repo, room_for_weights(), choice.why)
                                     : hub::choose_named(request.repo, name.what);
  request.files = choice.variant.files;
  request.revision = name.revision;
  request.offline = access.offline;
  std::optional<std::string> store_name;
  if (!flags.name.empty()) {
    store_name = hub::parse_store_name(flags.name);
  } else if (!asked.store_name.empty()) {
    store_name = hub::parse_store_name(asked.store_name);
  } else {
    store_name = hub::store_name_of(request.repo.name, tag_of(choice.variant, name));
  }
  if (!store_name)
    throw UsageError(flags.name.empty() ? base::cat(request.repo.name, ": no store name can be made of it")
                                        : base::cat("--name: ", base::quote_name(flags.name), " is no store name"),
                     "--name NAME or NAME:TAG, each of letters, digits, '.', '_' and '-'");
  request.name = *store_name;
  return choice;
}

bool names_hub_model(const hub::Gallery& gallery, const std::string& text) {
  return hub::parse_hub_name(text).has_value() || gallery.find(text).has_value();
}

}  // namespace minke::cli
