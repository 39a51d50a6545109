#include "cli/served_models.h"

#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/cat.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/quote.h"
#include "cli/command.h"
#include "cli/model_source.h"
#include "cli/output.h"
#include "cli/serve_model.h"
#include "models/config.h"

namespace minke::cli {
namespace {

/// Of a model that others could make room for: below this, coding agents and long chats are no use.
constexpr std::size_t kUsefulContext = 8192;

TextModel open_text(const formats::Checkpoint& checkpoint, const ChatFlags& chat) {
  try {
    return open_text_model(checkpoint, chat.encoding_choice());
  } catch (const base::Error& error) {
    // A base model completes text all the same.
    if (error.code() != base::ErrorCode::unsupported || !chat.encoding.empty()) throw;
    TextModel text = open_plain_text(checkpoint);
    text.warning = base::cat(error.message(), "; chats will be refused");
    return text;
  }
}

bool answers_to(const api::Offer& offer, std::string_view name) {
  return offer.name == name || std::ranges::find(offer.aliases, name) != offer.aliases.end();
}

}  // namespace

ServedModels::ServedModels(hub::ModelStore store, ServedModelsOptions options)
    : store_(std::move(store)), options_(std::move(options)) {
  const std::vector<hub::StoredModel> stored = store_.list();
  for (const std::string& model : options_.models) add_named(model, stored);
  for (const std::string& alias : options_.aliases) add_alias(alias);
  if (named_.empty() && everything().empty()) {
    throw base::Error(base::ErrorCode::not_found, base::cat("there is no model in ", store_.root().string()),
                      "\"minke pull NAME\" fetches one of \"minke list --available\"");
  }
}

void ServedModels::add_named(const std::string& model, const std::vector<hub::StoredModel>& stored) {
  Known one{.offer = {.name = served_name(model)}, .path = store_.resolve(model)};
  const auto found = std::ranges::find(stored, one.path, &hub::StoredModel::path);
  if (found != stored.end()) {
    one.offer.bytes = found->bytes;
    one.offer.modified = found->modified;
    // By the store's name, too, where it was named by a path or by the gallery's other name for it.
    if (found->name != one.offer.name) one.offer.aliases.push_back(found->name);
  }
  one.offer.stays = options_.stay;
  for (const Known& other : named_) {
    if (other.path == one.path) return;
    if (!answers_to(other.offer, one.offer.name)) continue;
    throw UsageError(base::cat("two models would be called ", base::quote_name(one.offer.name)),
                     "rename one of the files, or import it into the store under another name");
  }
  named_.push_back(std::move(one));
}

void ServedModels::add_alias(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string alias = text.substr(0, equals);
  const std::string model = equals == std::string::npos ? std::string() : text.substr(equals + 1);
  if (alias.empty() || (equals != std::string::npos && model.empty())) {
    throw UsageError(base::cat("--alias: expected NAME or NAME=MODEL, got ", base::quote_name(text)), "");
  }
  if (equals == std::string::npos && named_.empty()) {
    throw UsageError(base::cat("--alias ", alias, ": of which model?"), "without a MODEL it is written NAME=MODEL");
  }
  const std::string target = model.empty() ? named_.front().offer.name : model;
  const auto named = std::ranges::find_if(named_, [&](const Known& one) { return answers_to(one.offer, target); });
  if (const auto taken = look_up(alias); taken && taken->offer.name != target) {
    throw UsageError(base::cat("--alias: ", base::quote_name(alias), " is a name of ", taken->offer.name), "");
  }
  if (named != named_.end()) {
    if (!answers_to(named->offer, alias)) named->offer.aliases.push_back(alias);
    return;
  }
  const auto other = look_up(target);
  if (!other) {
    throw UsageError(base::cat("--alias ", text, ": there is no such model to be served"),
                     "name it to \"minke serve\", or let --offer all serve the store's");
  }
  aliases_[alias] = other->offer.name;
}

ServedModels::Known ServedModels::known(const hub::StoredModel& stored) const {
  Known one{.offer = {.name = stored.name}, .path = stored.path};
  one.offer.bytes = stored.bytes;
  one.offer.modified = stored.modified;
  for (const auto& [alias, model] : aliases_) {
    if (model == stored.name) one.offer.aliases.push_back(alias);
  }
  return one;
}

std::vector<ServedModels::Known> ServedModels::everything(bool seen) const {
  std::vector<Known> all = named_;
  if (!options_.all) return all;
  const std::lock_guard lock(mutex_);
  if (!seen) stored_ = store_.list();
  for (const hub::StoredModel& stored : stored_) {
    const bool listed = std::ranges::any_of(named_, [&](const Known& one) { return one.path == stored.path; });
    if (stored.problem.empty() && !listed) all.push_back(known(stored));
  }
  return all;
}

std::vector<api::Offer> ServedModels::offers() const {
  std::vector<api::Offer> result;
  for (Known& one : everything()) result.push_back(std::move(one.offer));
  return result;
}

std::vector<api::Offer> ServedModels::named() const {
  std::vector<api::Offer> result;
  result.reserve(named_.size());
  for (const Known& one : named_) result.push_back(one.offer);
  return result;
}

std::optional<ServedModels::Known> ServedModels::look_up(std::string_view name_or_alias) const {
  for (const Known& one : named_) {
    if (answers_to(one.offer, name_or_alias)) return one;
  }
  if (!options_.all) return std::nullopt;
  const auto alias = aliases_.find(name_or_alias);
  auto name = alias != aliases_.end() ? std::optional(alias->second) : hub::parse_store_name(name_or_alias);
  if (!name) return std::nullopt;
  // Most requests are for a model that was there before: the store is read again for others alone.
  for (const bool seen : {true, false}) {
    const std::vector<Known> all = everything(seen);
    const auto by_name = [&all](const std::string& wanted) {
      return std::ranges::find_if(all, [&](const Known& one) { return answers_to(one.offer, wanted); });
    };
    auto found = by_name(*name);
    if (found == all.end()) {
      const auto hit = store_.gallery().find(*name);
      if (hit) found = by_name(hub::store_name_of(*hit->entry, hit->quant));
    }
    if (found != all.end()) return *found;
  }
  return std::nullopt;
}

std::optional<api::Offer> ServedModels::find(std::string_view name_or_alias) const {
  auto one = look_up(name_or_alias);
  return one ? std::optional(std::move(one->offer)) : std::nullopt;
}

std::string ServedModels::preferred() const { return named_.empty() ? std::string() : named_.front().offer.name; }

ServedModels::Known ServedModels::must_find(const std::string& name) const {
  auto one = look_up(name);
  if (!one)
    throw base::Error(base::ErrorCode::not_found, base::cat("the model ", name, " is not in the store any more"));
  return *std::move(one);
}

api::OfferDetails ServedModels::details(const std::string& name) const {
  const auto checkpoint = formats::Checkpoint::open(must_find(name).path);
  const models::DecoderConfig config = models::read_config(*checkpoint);
  const TextModel text = open_text(*checkpoint, options_.chat);
  return {.architecture = models::architecture_name(*checkpoint),
          .context = static_cast<std::size_t>(config.max_position_embeddings),
          .chats = text.encoding != nullptr,
          .tools = text.encoding && text.encoding->tool_format() != text::ToolFormat::none};
}

std::uint64_t ServedModels::available() { return base::available_memory(); }

void ServedModels::check(const std::string& name, std::uint64_t room, bool beside) {
  const auto checkpoint = formats::Checkpoint::open(must_find(name).path);
  engine::EngineOptions options = options_.engine;
  options.memory_limit = std::max<std::uint64_t>(room, 1);  // 0 would be: whatever there is
  if (beside && options.context == 0) {
    const auto trained = static_cast<std::size_t>(models::read_config(*checkpoint).max_position_embeddings);
    options.context = std::min(trained, kUsefulContext);
  }
  (void)engine::plan_engine(*checkpoint, options);
}

api::LoadedModel ServedModels::load(const std::string& name, std::uint64_t room, const Progress& progress) {
  const Known one = must_find(name);
  const std::shared_ptr<const formats::Checkpoint> checkpoint = formats::Checkpoint::open(one.path);
  TextModel text = open_text(*checkpoint, options_.chat);
  if (!text.warning.empty()) warn(text.warning);
  engine::EngineOptions options = options_.engine;
  options.memory_limit = std::max<std::uint64_t>(room, 1);
  options.progress = progress;
  ServedModel served = load_served_model(checkpoint, std::move(text), options,
                                         {.name = name, .aliases = one.offer.aliases, .chat = options_.chat});
  for (const std::string& warning : served.info.warnings) warn(base::cat(name, ": ", warning));
  return {.model = std::move(served.model), .bytes = served.info.memory_bytes};
}

void ServedModels::unload(std::shared_ptr<const api::Model> model) {
  model.reset();
#ifdef __GLIBC__
  // Tokenizers are many small pieces, which the allocator would keep.
  ::malloc_trim(0);
#endif
}

}  // namespace minke::cli
