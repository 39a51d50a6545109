#include "cli/bench_engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <utility>

#include "base/cat.h"
#include "base/error.h"
#include "base/random.h"
#include "base/signal.h"
#include "cli/machine.h"
#include "cli/progress.h"
#include "cli/text_format.h"
#include "cli/version.h"
#include "engine/engine.h"

namespace minke::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// What one user sees.
struct User {
  double arrival = 0;  ///< seconds after the start
  engine::Request request;
  std::unique_ptr<engine::Reply> reply;
  Clock::time_point submitted;
  std::vector<Clock::time_point> tokens;
  engine::Finished end;
  bool finished = false;
};

/// The value below which `share` of them lie (nearest rank); 0 of none.
double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  return values[std::max<std::size_t>(rank, 1) - 1];
}

class Crowd {
 public:
  Crowd(const CrowdSettings& settings, engine::Engine& engine) : settings_(settings), engine_(engine) {
    double arrival = 0;
    for (std::size_t i = 0; i < settings.users; ++i) {
      User& user = users_.emplace_back();
      user.arrival = arrival;
      user.request = request(i + 1, settings.prompt, settings.output);
      // Times between arrivals of a Poisson process are exponential.
      arrival += settings.rate > 0 ? -std::log(1 - base::uniform(/*seed=*/2, /*stream=*/0, i)) / settings.rate
                                   : settings.every;
    }
  }

  bool run(const Stop& stopped) {
    warm_up();
    start_ = Clock::now();
    while (!all_done()) {
      if (stopped()) return false;
      const std::uint32_t seen = signal_->value();
      submit_due();
      for (User& user : users_) read(user);
      if (settings_.long_prompt > 0) follow_long_prompt();
      if (!all_done()) signal_->wait(seen, std::chrono::milliseconds(next_arrival_ms()));
    }
    end_ = Clock::now();
    return true;
  }

  Record record(const engine::EngineInfo& info) const;

 private:
  /// Random tokens, drawn to the full length whatever they are: a shared beginning, then the user's own.
  engine::Request request(std::size_t stream, std::size_t prompt, std::size_t output) const {
    engine::Request request;
    const auto shared = static_cast<std::size_t>(settings_.shared_prefix * static_cast<double>(prompt));
    const auto vocab = static_cast<double>(engine_.vocab_size());
    for (std::size_t i = 0; i < prompt; ++i)
      request.tokens.push_back(
          static_cast<engine::TokenId>(base::uniform(/*seed=*/1, i < shared ? 0 : stream, i) * vocab));
    request.sampling.temperature = 0;
    request.max_tokens = output;
    request.identity = base::cat("user ", stream);
    return request;
  }

  /// Pages and caches of the processor are warm, and the speed of steps is known; none of it is found again.
  void warm_up() {
    engine::Request first = request(settings_.users + 1, 64, 8);
    first.salt = "warm-up";
    (void)engine_.generate(std::move(first), {});
  }

  void submit(User& user) {
    user.submitted = Clock::now();
    user.reply = std::make_unique<engine::Reply>(
        engine_.submit(std::move(user.request), [signal = signal_] { signal->raise(); }));
  }

  void submit_due() {
    const double now = seconds_between(start_, Clock::now());
    for (User& user : users_)
      if (!user.reply && user.arrival <= now) submit(user);
  }

  std::int64_t next_arrival_ms() const {
    double next = 0.2;
    const double now = seconds_between(start_, Clock::now());
    for (const User& user : users_)
      if (!user.reply) next = std::min(next, std::max(user.arrival - now, 0.001));
    return static_cast<std::int64_t>(next * 1000);
  }

  static void read(User& user) {
    if (!user.reply || user.finished) return;
    for (;;) {
      const std::optional<engine::Event> event = user.reply->poll();
      if (!event) return;
      if (std::holds_alternative<engine::TokenDrawn>(*event)) user.tokens.push_back(Clock::now());
      if (const auto* end = std::get_if<engine::Finished>(&*event)) {
        user.finished = true;
        user.end = *end;
        if (end->error) throw base::Error(*end->error);
      }
    }
  }

  bool all_done() const {
    return std::all_of(users_.begin(), users_.end(), [](const User& user) { return user.finished; });
  }

  void follow_long_prompt() {
    if (!long_.reply) {
      const bool due = std::all_of(users_.begin(), users_.end(), [&](const User& user) {
        return user.tokens.size() >= std::max<std::size_t>(1, settings_.output / 4);
      });
      if (!due) return;
      long_.request = request(settings_.users + 2, settings_.long_prompt, 1);
      long_.request.shared_prefix = 0;
      submit(long_);
    }
    read(long_);
  }

  /// Between a user's tokens, of those that came in [from, to].
  std::vector<double> inter_token(Clock::time_point from, Clock::time_point to) const {
    std::vector<double> times;
    for (const User& user : users_)
      for (std::size_t i = 1; i < user.tokens.size(); ++i)
        if (user.tokens[i - 1] >= from && user.tokens[i] <= to)
          times.push_back(1000 * seconds_between(user.tokens[i - 1], user.tokens[i]));
    return times;
  }

  const CrowdSettings& settings_;
  engine::Engine& engine_;
  std::shared_ptr<base::Signal> signal_ = std::make_shared<base::Signal>();
  std::vector<User> users_;
  User long_;
  Clock::time_point start_, end_;
};

Record Crowd::record(const engine::EngineInfo& info) const {
  std::vector<double> first, per_token;
  std::size_t output = 0, cached = 0;
  for (const User& user : users_) {
    output += user.end.usage.output_tokens;
    cached += user.end.usage.cached_tokens;
    if (!user.tokens.empty()) first.push_back(1000 * seconds_between(user.submitted, user.tokens.front()));
    if (user.tokens.size() > 1)
      per_token.push_back(1000 * seconds_between(user.tokens.front(), user.tokens.back()) /
                          static_cast<double>(user.tokens.size() - 1));
  }
  const double seconds = seconds_between(start_, end_);
  const std::vector<double> between = inter_token(start_, end_);
  Record record;
  const auto count = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  record.add("build_commit", build_commit());
  record.add("cpu_info", processor_name());
  record.add("kernels", info.kernels);
  record.add("numerics", std::string(kernels::to_string(info.numerics)));
  record.add("n_threads", count(info.threads));
  record.add("model", settings_.model);
  record.add("users", count(settings_.users));
  record.add("prompt_tokens", count(settings_.prompt));
  record.add("output_tokens", count(settings_.output));
  record.add("rate", settings_.rate);
  record.add("every_ms", 1000 * settings_.every);
  record.add("shared_prefix", settings_.shared_prefix);
  record.add("seconds", seconds);
  record.add("output_throughput", static_cast<double>(output) / seconds);
  record.add("total_throughput", static_cast<double>(output + settings_.users * settings_.prompt) / seconds);
  for (const auto& [name, values] :
       {std::pair{"ttft", std::vector<double>(first)}, std::pair{"tpot", std::vector<double>(per_token)},
        std::pair{"itl", std::vector<double>(between)}})
    for (const auto& [part, share] : {std::pair{"median", 0.5}, std::pair{"p95", 0.95}, std::pair{"p99", 0.99}})
      record.add(base::cat(part, "_", name, "_ms"), percentile(values, share));
  record.add("cached_tokens", count(cached));
  const engine::EngineHealth health = engine_.health();
  record.add("cache_hit_blocks", count(health.cache_hits));
  record.add("preemptions", count(health.preemptions));
  record.add("steps", count(health.steps));
  record.add("drafted_tokens", static_cast<std::int64_t>(health.drafted));
  record.add("accepted_tokens", static_cast<std::int64_t>(health.accepted));
  if (settings_.long_prompt > 0 && long_.reply) {
    const Clock::time_point done = long_.tokens.empty() ? end_ : long_.tokens.front();
    // Before: while everybody decodes.
    Clock::time_point decoding = start_;
    for (const User& user : users_)
      if (!user.tokens.empty()) decoding = std::max(decoding, user.tokens.front());
    record.add("long_prompt_tokens", count(settings_.long_prompt));
    record.add("long_prompt_ttft_ms",
               long_.tokens.empty() ? 0.0 : 1000 * seconds_between(long_.submitted, long_.tokens.front()));
    record.add("p95_itl_before_ms", percentile(inter_token(decoding, long_.submitted), 0.95));
    record.add("p95_itl_beside_ms", percentile(inter_token(long_.submitted, done), 0.95));
  }
  return record;
}

}  // namespace

std::optional<Record> run_crowd(const Session& session, const CrowdSettings& settings, const Stop& stopped) {
  const BenchFile file = open_bench_file(session, settings.model);
  engine::EngineOptions options = settings.engine.options(kernels::Numerics::fast);
  options.sequences = settings.users + (settings.long_prompt > 0 ? 1 : 0);
  options.queue = settings.users + 2;
  options.context = std::max({settings.prompt + settings.output, settings.long_prompt + 1, std::size_t{128}});
  const auto whole = [](std::size_t tokens) { return (tokens / kernels::kKvBlock + 2) * kernels::kKvBlock; };
  options.cache_tokens = settings.users * whole(settings.prompt + settings.output) + whole(settings.long_prompt);
  options.prefault = true;
  options.target_inter_token = settings.target_inter_token;
  Progress loading("loading", session.environment.stderr_terminal);
  options.progress = [&loading](std::uint64_t done, std::uint64_t total) {
    loading.update(done, total, base::cat(byte_text(done), " of ", byte_text(total)));
  };
  engine::Engine engine(*file.checkpoint, options);
  loading.clear();
  Crowd crowd(settings, engine);
  if (!crowd.run(stopped)) return std::nullopt;
  return crowd.record(engine.info());
}

std::string crowd_table(const Record& record) {
  std::string out =
      "| what                                   |      value |\n| -------------------------------------- | ---------: "
      "|\n";
  const auto line = [&](std::string_view what, const std::string& value) {
    out += base::cat("| ", what, std::string(38 - std::min<std::size_t>(38, what.size()), ' '), " | ",
                     std::string(10 - std::min<std::size_t>(10, value.size()), ' '), value, " |\n");
  };
  const auto whole = [&](const char* key) { return grouped(static_cast<std::size_t>(record.integer(key))); };
  const auto number = [&](const char* key, int decimals) { return fixed_text(record.number(key), decimals); };
  line("users", whole("users"));
  line("prompt tokens of each", whole("prompt_tokens"));
  line("output tokens of each", whole("output_tokens"));
  line("seconds in all", number("seconds", 1));
  line("output tokens/s", number("output_throughput", 1));
  line("tokens/s, prompts included", number("total_throughput", 1));
  line("time to first token, median, ms", number("median_ttft_ms", 0));
  line("time to first token, 95 %, ms", number("p95_ttft_ms", 0));
  line("time to first token, 99 %, ms", number("p99_ttft_ms", 0));
  line("per token after it, median, ms", number("median_tpot_ms", 1));
  line("per token after it, 95 %, ms", number("p95_tpot_ms", 1));
  line("between tokens, median, ms", number("median_itl_ms", 1));
  line("between tokens, 95 %, ms", number("p95_itl_ms", 1));
  line("between tokens, 99 %, ms", number("p99_itl_ms", 1));
  line("prompt tokens from the cache", whole("cached_tokens"));
  line("replies that gave way", whole("preemptions"));
  line("tokens guessed and run", whole("drafted_tokens"));
  line("of these, right", whole("accepted_tokens"));
  const bool with_long = std::any_of(record.fields.begin(), record.fields.end(),
                                     [](const auto& field) { return field.first == "long_prompt_tokens"; });
  if (with_long) {
    line("long prompt's tokens", whole("long_prompt_tokens"));
    line("its first token (0: not read), ms", number("long_prompt_ttft_ms", 0));
    line("between tokens before it, 95 %, ms", number("p95_itl_before_ms", 1));
    line("between tokens beside it, 95 %, ms", number("p95_itl_beside_ms", 1));
  }
  return out;
}

}  // namespace minke::cli
