#include "cli/hub_choice.h"

#include <algorithm>
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

/// All that a model may take when it runs as asked.
std::uint64_t room_for(const EngineFlags& engine) { return engine.memory != 0 ? engine.memory : memory_for_models(); }

/// Fills in the variant, and why it is that. The headers that are read first are of the one that would be taken if
/// there were memory without end: mostly it is the one.
void choose_by_memory(const HubAccess& access, const hub::ModelStore& store, const HubQuestion& flags,
                      HubChoice& choice) {
  const hub::Repository& repo = choice.request.repo;
  choice.variant = hub::choose_best(repo, {.bytes = UINT64_MAX}, choice.why);
  if (!access.offline) {
    try {
      const auto probed = std::make_shared<const ProbedModel>(access, store, repo, choice.variant, flags.retry);
      ModelReport report;
      probed->naming([&] { report = sizes_of(probed->shown(), flags.engine); });
      const std::string first = choice.variant.files.front().path;
      const hub::MemoryRoom room = scaled_room(report, choice.variant.bytes, flags.engine);
      choice.variant = hub::choose_best(repo, room, choice.why);
      choice.memory = ChoiceMemory{
          .need = room.need(choice.variant.bytes), .context = report.memory.front().context, .room = room.bytes};
      if (choice.variant.files.front().path == first) choice.headers = probed;
      return;
    } catch (const base::Error& error) {
      const bool not_run = error.code() == base::ErrorCode::format || error.code() == base::ErrorCode::unsupported;
      if (flags.must_run || !not_run) throw;
      warn(base::cat("this program does not run it: ", printable(error.message())));
    }
  }
  choice.variant = hub::choose_best(repo, {.bytes = room_for(flags.engine), .beside = kUsualContextBytes}, choice.why);
}

std::string tag_of(const hub::ModelVariant& variant, const hub::HubName& name) {
  if (!variant.gguf) return {};
  if (!variant.quant.empty()) return variant.quant;
  return name.what.empty() ? std::string() : name.what.substr(name.what.rfind('/') + 1);
}

}  // namespace

hub::MemoryRoom scaled_room(const ModelReport& report, std::uint64_t file_bytes, const EngineFlags& engine) {
  const std::uint64_t weights = report.sizes.mapped ? 0 : report.sizes.weight_bytes;
  return {.bytes = room_for(engine),
          .beside = report.memory.front().bytes - weights,
          .weight_bytes = static_cast<double>(weights) / static_cast<double>(std::max<std::uint64_t>(file_bytes, 1))};
}

HubChoice choose_on_hub(const HubAccess& access, const hub::ModelStore& store, const HubQuestion& flags) {
  Asked asked = asked_for(store.gallery(), flags);
  hub::HubName& name = asked.name;
  if (name.what.empty() && !asked.store_name.empty()) name.what = file_of_before(store, asked.store_name, name.repo);
  HubChoice choice;
  hub::PullRequest& request = choice.request;
  request.repo = list_repository(access, name, flags.retry);
  if (request.repo.name != name.repo) note(base::cat("minke: ", name.repo, " is now ", request.repo.name, "\n"));
  choice.all = hub::variants(request.repo);
  if (name.what.empty()) {
    choose_by_memory(access, store, flags, choice);
  } else {
    choice.variant = hub::choose_named(request.repo, name.what);
  }
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
