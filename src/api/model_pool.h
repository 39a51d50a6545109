// Which models are in memory: loaded when they are asked for, unloaded when nobody has used them for long or when
// others need the room.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/idle_time.h"
#include "api/model.h"
#include "base/error.h"

namespace minke::api {

/// A model that may be asked for.
struct Offer {
  std::string name;                       ///< its own
  std::vector<std::string> aliases = {};  ///< other names that mean it
  std::uint64_t bytes = 0;                ///< of its files
  std::int64_t modified = 0;              ///< seconds since 1970
  bool stays = false;                     ///< being idle is no reason to unload it
};

/// What can be told of a model that is not loaded.
struct OfferDetails {
  std::string architecture;
  std::size_t context = 0;  ///< that it was trained for
  bool chats = false, tools = false;
};

struct LoadedModel {
  std::shared_ptr<const Model> model;
  std::uint64_t bytes = 0;  ///< of memory, as planned
};

/// Where models come from: the program's store, or a test's stand-ins. Names are an offer's own; what fails is
/// base::Error.
class ModelSource {
 public:
  using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

  virtual ~ModelSource() = default;
  /// Any thread.
  virtual std::vector<Offer> offers() const = 0;
  virtual std::optional<Offer> find(std::string_view name_or_alias) const = 0;
  virtual OfferDetails details(const std::string& name) const = 0;
  /// What is meant by names that are no model's; empty: whichever is loaded.
  virtual std::string preferred() const { return {}; }

  /// The pool's thread alone, one at a time. Bytes that may be taken now, without swapping.
  virtual std::uint64_t available() = 0;
  /// Errors as load(), as far as they can be told without loading: out_of_memory says what is needed. `beside`: others
  /// could make room, so a context that is small beyond use does not count as fitting.
  virtual void check(const std::string& name, std::uint64_t room, bool beside) = 0;
  /// `progress` may throw to end it.
  virtual LoadedModel load(const std::string& name, std::uint64_t room, const Progress& progress) = 0;
  /// The last of it: its memory is given back when this returns.
  virtual void unload(std::shared_ptr<const Model> model) = 0;
};

/// How far a load has come. Any thread reads.
struct LoadProgress {
  std::atomic<bool> started{false};  ///< else it waits for room, or for another model's load
  std::atomic<std::uint64_t> done{0}, total{0};

  /// "loading smollm2, 43 %".
  std::string text(std::string_view name) const;
};

/// What a load came to: the model, held, or why there is none.
struct LoadOutcome {
  std::shared_ptr<const Model> model;
  std::optional<base::Error> error;
};

/// absent (there is none of it here) -> loading -> ready -> draining -> absent. A draining model ends what runs, and
/// takes no more; who asks for it meanwhile waits until it is loaded again.
enum class ModelState { loading, ready, draining };
std::string_view to_string(ModelState state) noexcept;

struct ModelStatus {
  Offer offer;
  ModelState state = ModelState::loading;
  std::uint64_t bytes = 0;
  std::size_t users = 0;                     ///< requests that hold it
  std::optional<IdleTime> expires;           ///< from now, if nobody uses it; unset: never
  std::shared_ptr<const Model> model;        ///< held, which is no use of it; null while it is loading
  std::shared_ptr<const LoadProgress> load;  ///< null unless it is loading
};

struct PoolOptions {
  std::size_t max_loaded = 0;  ///< 0: as many as there is room for
  std::uint64_t memory = 0;    ///< bytes for all of them; 0: what the source has available
  IdleTime keep_alive = std::chrono::minutes(5);
  /// For tests; after it has jumped, look_again() is to be called.
  std::function<std::chrono::steady_clock::time_point()> now = {};
};

/// Every function may be called from any thread. Loads and unloads are done on a thread of the pool, one after the
/// other; so there are never two loads of one model. Where room is missing, the models that were not used for the
/// longest time go first; one that is in use ends its replies before.
class ModelPool {
 public:
  ModelPool(std::shared_ptr<ModelSource> source, const PoolOptions& options);
  /// One that has this model, and no other.
  explicit ModelPool(std::shared_ptr<const Model> model);
  /// As stop().
  ~ModelPool();
  ModelPool(const ModelPool&) = delete;
  ModelPool& operator=(const ModelPool&) = delete;

  const ModelSource& source() const noexcept;
  /// The name that stands for what is loaded: the source's preferred one, else the model that was used last, else the
  /// first offer; empty when there is none.
  std::string default_name() const;

  /// The model as long as the pointer lives; null when it is not ready. `idle`: how long it stays afterwards, from now
  /// on, if that was said.
  std::shared_ptr<const Model> hold(const std::string& name, std::optional<IdleTime> idle);
  /// Calls `tell` once, when the model is ready or cannot be; on a thread of the pool where some time may be taken.
  /// What `tell` throws is lost.
  std::shared_ptr<const LoadProgress> when_ready(const Offer& offer, std::optional<IdleTime> idle,
                                                 std::function<void(LoadOutcome)> tell);
  /// Unloads it as soon as nobody uses it. Of a model that is not there nothing is to be done.
  void release(const std::string& name);

  /// Of all that are not absent, by name.
  std::vector<ModelStatus> status() const;

  void look_again();
  /// Ends a load that is under way, tells who waits, and unloads what nobody holds. Nothing is loaded afterwards.
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace minke::api
