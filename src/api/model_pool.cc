#include "api/model_pool.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>
#include <utility>

#include "base/cat.h"
#include "base/signals_blocked.h"

namespace minke::api {
namespace {

using base::Error;
using base::ErrorCode;
using Clock = std::chrono::steady_clock;

std::uint64_t less(std::uint64_t from, std::uint64_t what) { return from > what ? from - what : 0; }

Error stopping() { return Error(ErrorCode::overloaded, "the server is stopping"); }

/// One model that somebody else has loaded; unloaded, it is kept here.
class OneModel final : public ModelSource {
 public:
  explicit OneModel(const Model& model)
      : offer_{.name = model.name, .aliases = model.aliases, .bytes = model.bytes, .modified = model.created} {
    offer_.stays = true;
    details_ = {.architecture = model.architecture,
                .context = model.context,
                .chats = model.encoding != nullptr,
                .tools = model.encoding && model.encoding->tool_format() != text::ToolFormat::none};
  }

  std::vector<Offer> offers() const override { return {offer_}; }
  std::optional<Offer> find(std::string_view name) const override {
    const bool known = name == offer_.name || std::ranges::find(offer_.aliases, name) != offer_.aliases.end();
    return known ? std::optional(offer_) : std::nullopt;
  }
  OfferDetails details(const std::string& /*name*/) const override { return details_; }
  std::string preferred() const override { return offer_.name; }
  std::uint64_t available() override { return 0; }
  void check(const std::string& /*name*/, std::uint64_t /*room*/, bool /*beside*/) override {}
  LoadedModel load(const std::string& /*name*/, std::uint64_t /*room*/, const Progress& /*progress*/) override {
    return {.model = std::exchange(kept_, nullptr), .bytes = 0};
  }
  void unload(std::shared_ptr<const Model> model) override { kept_ = std::move(model); }

 private:
  Offer offer_;
  OfferDetails details_;
  std::shared_ptr<const Model> kept_;
};

}  // namespace

std::string LoadProgress::text(std::string_view name) const {
  if (!started) return base::cat("waiting for room for ", name);
  const auto all = static_cast<double>(total), part = static_cast<double>(done);
  if (all == 0) return base::cat("loading ", name);
  return base::cat("loading ", name, ", ", static_cast<int>(std::min(100 * part / all, 100.0)), " %");
}

std::string_view to_string(ModelState state) noexcept {
  switch (state) {
    case ModelState::loading:
      return "loading";
    case ModelState::ready:
      return "ready";
    case ModelState::draining:
      break;
  }
  return "draining";
}

struct ModelPool::Impl : std::enable_shared_from_this<ModelPool::Impl> {
  using Tell = std::function<void(LoadOutcome)>;

  /// A model that is not absent. Only the pool's thread takes slots away, and none that is held.
  struct Slot {
    Offer offer;
    ModelState state = ModelState::loading;
    std::shared_ptr<const Model> model;  // null while it is loading or being unloaded
    std::uint64_t bytes = 0;             // counted until it is unloaded
    std::size_t holds = 0, users = 0;    // users: holds that are a use
    Clock::time_point used;
    IdleTime idle{};
    std::shared_ptr<LoadProgress> progress;
    std::vector<Tell> waiting;
  };

  /// What a held model's pointer owns.
  struct Hold {
    Hold(std::shared_ptr<Impl> the_pool, Slot& the_slot, bool is_use)
        : pool(std::move(the_pool)), slot(the_slot), model(the_slot.model), use(is_use) {}
    ~Hold() { pool->let_go(*this); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    std::shared_ptr<Impl> pool;
    Slot& slot;
    std::shared_ptr<const Model> model;
    bool use;
  };

  Impl(std::shared_ptr<ModelSource> the_source, const PoolOptions& given)
      : source(std::move(the_source)),
        options(given),
        whole(options.memory != 0 ? options.memory : source->available()) {}

  Clock::time_point now() const { return options.now ? options.now() : Clock::now(); }

  // With the mutex held:
  std::shared_ptr<const Model> hold(Slot& slot, bool use);
  std::vector<ModelStatus> status();
  void start_threads();
  std::shared_ptr<LoadProgress> wait_for(const Offer& offer, std::optional<IdleTime> idle, Tell&& tell);
  void tell_all(Slot& slot, const std::optional<Error>& error);
  void call(Tell tell, LoadOutcome outcome);
  Slot* due() noexcept;
  std::optional<IdleTime> expiry(const Slot& slot) const;
  bool make_room() noexcept;
  std::size_t resident() const noexcept;
  std::uint64_t room();

  // The pool's thread; these let go of the mutex while the source works.
  using Lock = std::unique_lock<std::mutex>;
  void run();
  bool advance(Lock& lock);
  void load(Slot& slot, std::uint64_t bytes, Lock& lock);
  void fail(Slot& slot, const Error& error);
  void unload(Slot& slot, Lock& lock);
  std::optional<Error> check(const std::string& name, std::uint64_t bytes, bool beside, Lock& lock);

  void run_calls();
  void let_go(Hold& hold);

  const std::shared_ptr<ModelSource> source;
  const PoolOptions options;
  const std::uint64_t whole;  // bytes for all models

  std::mutex mutex;  // guards what follows
  std::condition_variable changed, called;
  std::map<std::string, std::unique_ptr<Slot>, std::less<>> slots;
  std::deque<std::string> queue;  // models to be loaded
  std::deque<std::function<void()>> calls;
  std::atomic<bool> stopped{false};
  bool loader_ended = false;
  std::thread loader, caller;
};

std::shared_ptr<const Model> ModelPool::Impl::hold(Slot& slot, bool use) {
  auto hold = std::make_shared<Hold>(shared_from_this(), slot, use);
  ++slot.holds;
  if (use) {
    ++slot.users;
    slot.used = now();
  }
  const Model* model = hold->model.get();
  return {std::move(hold), model};
}

void ModelPool::Impl::let_go(Hold& hold) {
  const std::lock_guard lock(mutex);
  hold.model.reset();  // never the last: the slot has it as long as anybody holds it
  if (hold.use) {
    --hold.slot.users;
    hold.slot.used = now();
  }
  if (--hold.slot.holds == 0) changed.notify_one();
}

std::optional<IdleTime> ModelPool::Impl::expiry(const Slot& slot) const {
  if (slot.state != ModelState::ready || slot.idle == kForever) return std::nullopt;
  return std::max<IdleTime>(slot.used + slot.idle - now(), IdleTime::zero());
}

std::vector<ModelStatus> ModelPool::Impl::status() {
  std::vector<ModelStatus> result;
  for (auto& [name, slot] : slots) {
    ModelStatus one{.offer = slot->offer,
                    .state = slot->state,
                    .bytes = slot->bytes,
                    .users = slot->users,
                    .expires = expiry(*slot),
                    .model = nullptr,
                    .load = slot->state == ModelState::loading ? slot->progress : nullptr};
    if (slot->model) one.model = hold(*slot, false);
    result.push_back(std::move(one));
  }
  return result;
}

/// Not before they are needed: a server of one model that stays has none of them.
void ModelPool::Impl::start_threads() {
  if (loader.joinable()) return;
  if (loader_ended) throw Error(ErrorCode::io, "no thread could be started to load models");
  const base::SignalsBlocked blocked;
  caller = std::thread([this] { run_calls(); });
  try {
    loader = std::thread([this] { run(); });
  } catch (...) {
    loader_ended = true;
    called.notify_one();
    throw;
  }
}

std::shared_ptr<LoadProgress> ModelPool::Impl::wait_for(const Offer& offer, std::optional<IdleTime> idle, Tell&& tell) {
  start_threads();
  auto found = slots.find(offer.name);
  if (found == slots.end()) {
    auto slot = std::make_unique<Slot>();
    slot->offer = offer;
    slot->idle = offer.stays ? kForever : options.keep_alive;
    slot->progress = std::make_shared<LoadProgress>();
    queue.push_back(offer.name);
    try {
      found = slots.emplace(offer.name, std::move(slot)).first;
    } catch (...) {
      queue.pop_back();
      throw;
    }
    changed.notify_one();
  }
  Slot& slot = *found->second;
  if (idle) slot.idle = *idle;
  if (slot.state == ModelState::ready) {
    call(std::move(tell), {.model = hold(slot, true), .error = {}});
  } else {
    slot.waiting.push_back(std::move(tell));
  }
  return slot.progress;
}

void ModelPool::Impl::call(Tell tell, LoadOutcome outcome) {
  calls.emplace_back([tell = std::move(tell), outcome = std::move(outcome)]() mutable { tell(std::move(outcome)); });
  called.notify_one();
}

void ModelPool::Impl::tell_all(Slot& slot, const std::optional<Error>& error) {
  for (Tell& tell : std::exchange(slot.waiting, {})) {
    call(std::move(tell), {.model = error ? nullptr : hold(slot, true), .error = error});
  }
}

void ModelPool::Impl::run_calls() {
  Lock lock(mutex);
  for (;;) {
    called.wait(lock, [this] { return !calls.empty() || loader_ended; });
    if (calls.empty()) return;
    std::function<void()> next = std::move(calls.front());
    calls.pop_front();
    lock.unlock();
    try {
      next();
    } catch (const std::exception&) {
      // Said not to: whoever waits is its caller's business.
    }
    next = nullptr;  // lets go of the model
    lock.lock();
  }
}

/// Something to unload now; null: there is none.
ModelPool::Impl::Slot* ModelPool::Impl::due() noexcept {
  for (auto& [name, slot] : slots) {
    if (slot->holds > 0 || !slot->model) continue;
    if (slot->state == ModelState::draining) return slot.get();
    const auto left = expiry(*slot);
    if (left && *left == IdleTime::zero()) return slot.get();
  }
  return nullptr;
}

std::size_t ModelPool::Impl::resident() const noexcept {
  return static_cast<std::size_t>(std::count_if(
      slots.begin(), slots.end(), [](const auto& entry) { return entry.second->state != ModelState::loading; }));
}

std::uint64_t ModelPool::Impl::room() {
  std::uint64_t taken = 0;
  for (const auto& [name, slot] : slots) taken += slot->bytes;
  // What was promised to a model's cache is available to the system until it is used.
  const std::uint64_t left = less(whole, taken);
  return options.memory != 0 ? left : std::min(left, source->available());
}

/// One model is to go: the one that was used least lately of those that nobody uses, else of those that somebody does.
/// False: they are on their way already.
bool ModelPool::Impl::make_room() noexcept {
  Slot* victim = nullptr;
  for (auto& [name, slot] : slots) {
    if (slot->state == ModelState::draining) return false;
    if (slot->state != ModelState::ready) continue;
    const auto order = [](const Slot& one) { return std::tuple(one.users > 0, one.offer.stays, one.used); };
    if (victim == nullptr || order(*slot) < order(*victim)) victim = slot.get();
  }
  if (victim == nullptr) return false;
  victim->state = ModelState::draining;
  victim->progress->started = false;
  return true;
}

void ModelPool::Impl::run() {
  Lock lock(mutex);
  while (!stopped) {
    if (Slot* slot = due()) {
      unload(*slot, lock);
      continue;
    }
    if (!queue.empty() && advance(lock)) continue;
    auto next = std::chrono::nanoseconds(std::chrono::hours(1));
    for (const auto& [name, slot] : slots) {
      const auto left = slot->holds > 0 ? std::nullopt : expiry(*slot);
      if (left) next = std::min(next, *left);
    }
    changed.wait_for(lock, next);
  }
  for (auto& [name, slot] : slots) tell_all(*slot, stopping());
  queue.clear();
  loader_ended = true;
  called.notify_one();
}

std::optional<Error> ModelPool::Impl::check(const std::string& name, std::uint64_t bytes, bool beside, Lock& lock) {
  std::optional<Error> refused;
  lock.unlock();
  try {
    source->check(name, bytes, beside);
  } catch (const Error& error) {
    refused = error;
  } catch (const std::exception& error) {
    refused = Error(ErrorCode::out_of_memory, base::cat(name, ": ", error.what()));
  }
  lock.lock();
  return refused;
}

/// One step towards the next load; false: it has to wait until a model is used no more.
bool ModelPool::Impl::advance(Lock& lock) {
  Slot& slot = *slots.at(queue.front());
  const bool draining = std::any_of(slots.begin(), slots.end(),
                                    [](const auto& entry) { return entry.second->state == ModelState::draining; });
  if (draining) return false;
  if (options.max_loaded != 0 && resident() >= options.max_loaded) return make_room();
  const std::uint64_t bytes = room();
  const std::optional<Error> refused = resident() == 0 ? std::nullopt : check(slot.offer.name, bytes, true, lock);
  if (!refused) {
    load(slot, bytes, lock);
    return true;
  }
  if (refused->code() != ErrorCode::out_of_memory) {
    fail(slot, *refused);
    return true;
  }
  // Others give way only if that helps.
  if (const std::optional<Error> never = check(slot.offer.name, whole, false, lock)) {
    fail(slot, *never);
    return true;
  }
  return make_room();
}

void ModelPool::Impl::load(Slot& slot, std::uint64_t bytes, Lock& lock) {
  std::optional<Error> failed;
  LoadedModel loaded;
  const std::shared_ptr<LoadProgress> progress = slot.progress;
  progress->started = true;
  lock.unlock();
  try {
    loaded = source->load(slot.offer.name, bytes, [this, &progress](std::uint64_t done, std::uint64_t total) {
      if (stopped) throw stopping();
      progress->total = total;
      progress->done = done;
    });
  } catch (const Error& error) {
    failed = error;
  } catch (const std::exception& error) {
    failed = Error(ErrorCode::out_of_memory, base::cat(slot.offer.name, ": loading failed: ", error.what()));
  }
  lock.lock();
  if (failed) {
    fail(slot, *failed);
    return;
  }
  slot.model = std::move(loaded.model);
  slot.bytes = loaded.bytes;
  slot.state = ModelState::ready;
  slot.used = now();
  queue.pop_front();
  tell_all(slot, std::nullopt);
}

/// The slot is gone afterwards: whoever asks next makes another try.
void ModelPool::Impl::fail(Slot& slot, const Error& error) {
  tell_all(slot, error);
  queue.pop_front();
  const std::string name = slot.offer.name;
  slots.erase(name);
}

void ModelPool::Impl::unload(Slot& slot, Lock& lock) {
  slot.state = ModelState::draining;
  std::shared_ptr<const Model> model = std::move(slot.model);
  slot.model = nullptr;
  lock.unlock();
  source->unload(std::move(model));
  lock.lock();
  if (slot.waiting.empty()) {
    const std::string name = slot.offer.name;
    slots.erase(name);
    return;
  }
  slot.state = ModelState::loading;
  slot.bytes = 0;
  slot.progress->started = false;
  slot.progress->done = 0;
  queue.push_back(slot.offer.name);
}

ModelPool::ModelPool(std::shared_ptr<ModelSource> source, const PoolOptions& options)
    : impl_(std::make_shared<Impl>(std::move(source), options)) {}

ModelPool::ModelPool(std::shared_ptr<const Model> model)
    : ModelPool(std::make_shared<OneModel>(*model), PoolOptions()) {
  auto slot = std::make_unique<Impl::Slot>();
  slot->offer = impl_->source->offers().front();
  slot->state = ModelState::ready;
  slot->model = std::move(model);
  slot->used = impl_->now();
  slot->idle = kForever;
  slot->progress = std::make_shared<LoadProgress>();
  const std::string name = slot->offer.name;
  impl_->slots.emplace(name, std::move(slot));
}

ModelPool::~ModelPool() { stop(); }

const ModelSource& ModelPool::source() const noexcept { return *impl_->source; }

std::string ModelPool::default_name() const {
  if (std::string name = impl_->source->preferred(); !name.empty()) return name;
  {
    const std::lock_guard lock(impl_->mutex);
    const Impl::Slot* last = nullptr;
    for (const auto& [name, slot] : impl_->slots) {
      if (slot->state == ModelState::ready && (last == nullptr || last->used < slot->used)) last = slot.get();
    }
    if (last != nullptr) return last->offer.name;
  }
  const std::vector<Offer> offers = impl_->source->offers();
  return offers.empty() ? std::string() : offers.front().name;
}

std::shared_ptr<const Model> ModelPool::hold(const std::string& name, std::optional<IdleTime> idle) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->slots.find(name);
  if (found == impl_->slots.end() || found->second->state != ModelState::ready) return nullptr;
  if (idle) {
    found->second->idle = *idle;
    impl_->start_threads();
  }
  return impl_->hold(*found->second, true);
}

std::shared_ptr<const LoadProgress> ModelPool::when_ready(const Offer& offer, std::optional<IdleTime> idle,
                                                          std::function<void(LoadOutcome)> tell) {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->stopped) throw stopping();
  return impl_->wait_for(offer, idle, std::move(tell));
}

void ModelPool::release(const std::string& name) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->slots.find(name);
  if (found == impl_->slots.end() || impl_->stopped) return;
  found->second->idle = IdleTime::zero();
  impl_->start_threads();
  impl_->changed.notify_one();
}

std::vector<ModelStatus> ModelPool::status() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->status();
}

void ModelPool::look_again() { impl_->changed.notify_one(); }

void ModelPool::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->stopped.exchange(true)) return;
    impl_->changed.notify_one();
  }
  if (impl_->loader.joinable()) impl_->loader.join();
  if (impl_->caller.joinable()) impl_->caller.join();
  std::vector<std::shared_ptr<const Model>> models;
  {
    const std::lock_guard lock(impl_->mutex);
    for (auto& [name, slot] : impl_->slots) {
      // One that is held still goes with its last holder.
      if (slot->model && slot->holds == 0) models.push_back(std::move(slot->model));
    }
  }
  for (auto& model : models) impl_->source->unload(std::move(model));
}

}  // namespace minke::api
