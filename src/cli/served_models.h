// The models that `minke serve` may be asked for: those that were named to it, and all of the store where that is
// allowed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/model_pool.h"
#include "cli/options.h"
#include "engine/engine.h"
#include "hub/model_store.h"

namespace minke::cli {

struct ServedModelsOptions {
  std::vector<std::string> models;   ///< store names or paths; the first is what names that are no model's mean
  std::vector<std::string> aliases;  ///< NAME (of the first) or NAME=MODEL
  bool all = false;                  ///< the store's others, too
  bool stay = true;                  ///< those that were named, however long they are idle
  ChatFlags chat;
  engine::EngineOptions engine;  ///< without memory_limit and progress
};

/// Requests reach models by their names in the store, never by a path.
class ServedModels final : public api::ModelSource {
 public:
  /// Throws UsageError where names do not go together, and the store's errors for a model that is not there.
  ServedModels(hub::ModelStore store, ServedModelsOptions options);

  /// Those of the command line, in its order.
  std::vector<api::Offer> named() const;

  std::vector<api::Offer> offers() const override;
  std::optional<api::Offer> find(std::string_view name_or_alias) const override;
  api::OfferDetails details(const std::string& name) const override;
  std::string preferred() const override;
  std::uint64_t available() override;
  void check(const std::string& name, std::uint64_t room, bool beside) override;
  api::LoadedModel load(const std::string& name, std::uint64_t room, const Progress& progress) override;
  void unload(std::shared_ptr<const api::Model> model) override;

 private:
  struct Known {
    api::Offer offer;
    std::string path;
  };
  void add_named(const std::string& model, const std::vector<hub::StoredModel>& stored);
  void add_alias(const std::string& text);
  Known known(const hub::StoredModel& stored) const;
  /// `seen`: as it was a moment ago will do.
  std::vector<Known> everything(bool seen = false) const;
  std::optional<Known> look_up(std::string_view name_or_alias) const;
  Known must_find(const std::string& name) const;

  hub::ModelStore store_;
  ServedModelsOptions options_;
  std::vector<Known> named_;
  std::map<std::string, std::string, std::less<>> aliases_;  ///< of models that were not named
  mutable std::mutex mutex_;                                 // guards what follows
  mutable std::vector<hub::StoredModel> stored_;             // what the store had when it was last read
};

}  // namespace minke::cli
