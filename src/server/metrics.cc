#include "server/metrics.h"

#include <algorithm>
#include <vector>

#include "base/cat.h"

namespace minke::server {
namespace {

constexpr std::array kSeconds = {0.01, 0.025, 0.05, 0.1,  0.25,  0.5,   1.0,  2.5,
                                 5.0,  10.0,  30.0, 60.0, 120.0, 300.0, 600.0};
constexpr std::array kTokenSeconds = {0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0};

void write_head(std::string_view name, std::string_view help, std::string_view type, std::string& out) {
  out += base::cat("# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
}

template <typename Value>
void write_one(std::string_view name, std::string_view help, std::string_view type, Value value, std::string& out) {
  write_head(name, help, type, out);
  out += base::cat(name, " ", value, "\n");
}

/// A label's value: a model's name may be a path's last part, which may hold anything.
std::string label(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

void write_tokens(std::string_view begin, std::uint64_t prompt, std::uint64_t cached, std::uint64_t output,
                  std::uint64_t reasoning, std::string& out) {
  const auto one = [&](std::string_view kind, std::uint64_t count) {
    out += base::cat(begin, "kind=\"", kind, "\"} ", count, "\n");
  };
  one("prompt", prompt);
  one("cached", cached);
  one("output", output);
  one("reasoning", reasoning);
}

struct LoadedOne {
  std::string name;
  std::uint64_t bytes = 0;
  api::GeneratorStatus status;
};

/// A value for each model that is loaded.
template <typename Value>
void write_each(std::string_view name, std::string_view help, std::string_view type,
                const std::vector<LoadedOne>& models, Value value, std::string& out) {
  write_head(name, help, type, out);
  for (const LoadedOne& one : models) {
    out += base::cat(name, "{model=\"", one.name, "\"} ", value(one.status), "\n");
  }
}

void write_models(std::span<const api::ModelStatus> given, std::string& out) {
  using Status = api::GeneratorStatus;
  std::vector<LoadedOne> models;
  for (const api::ModelStatus& one : given) {
    if (one.model) models.push_back({label(one.offer.name), one.bytes, one.model->generator->status()});
  }
  write_head("minke_model_bytes", "Memory that a loaded model was planned to take.", "gauge", out);
  for (const LoadedOne& one : models) {
    out += base::cat("minke_model_bytes{model=\"", one.name, "\"} ", one.bytes, "\n");
  }
  const auto gauge = [&](std::string_view name, std::string_view help, auto Status::*member) {
    write_each(
        name, help, "gauge", models, [member](const Status& s) { return s.*member; }, out);
  };
  const auto counter = [&](std::string_view name, std::string_view help, auto Status::*member) {
    write_each(
        name, help, "counter", models, [member](const Status& s) { return s.*member; }, out);
  };
  gauge("minke_running", "Replies that are being computed.", &Status::running);
  gauge("minke_waiting", "Requests in the queue.", &Status::waiting);
  gauge("minke_cache_blocks", "Blocks of 64 tokens that the cache has.", &Status::cache_blocks);
  gauge("minke_cache_free_blocks", "Of these, not in use by a reply.", &Status::free_blocks);
  gauge("minke_cache_kept_blocks", "Of these, kept for reuse.", &Status::cached_blocks);
  counter("minke_cache_hits_total", "Blocks that were found and reused.", &Status::cache_hits);
  counter("minke_cache_evictions_total", "Kept blocks given up for others.", &Status::evictions);
  counter("minke_preemptions_total", "Replies interrupted to make room.", &Status::preemptions);
  counter("minke_drafted_tokens_total", "Tokens that were guessed and run.", &Status::drafted);
  counter("minke_accepted_tokens_total", "Guessed tokens that were right.", &Status::accepted);
  counter("minke_disk_read_total", "Blocks read from the cache on disk.", &Status::disk_read);
  counter("minke_disk_written_total", "Blocks written there.", &Status::disk_written);
  counter("minke_disk_refused_total", "Damaged or foreign blocks there.", &Status::disk_refused);
  gauge("minke_disk_bytes", "That the blocks on disk take, those of all models together.", &Status::disk_bytes);
  counter("minke_steps_total", "Steps of the model.", &Status::steps);
  gauge("minke_last_step_age_seconds", "Since the last step's end.", &Status::last_step_age);
}

}  // namespace

void Histogram::add(double value) noexcept {
  const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  ++counts_[static_cast<std::size_t>(at)];
  sum_ += value;
}

void Histogram::write(std::string_view name, std::string_view help, std::string& out) const {
  write_head(name, help, "histogram", out);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < bounds_.size(); ++i) {
    total += counts_[i];
    out += base::cat(name, "_bucket{le=\"", bounds_[i], "\"} ", total, "\n");
  }
  total += counts_[bounds_.size()];
  out += base::cat(name, "_bucket{le=\"+Inf\"} ", total, "\n", name, "_sum ", sum_, "\n", name, "_count ", total, "\n");
}

Metrics::Metrics()
    : request_seconds_(kSeconds),
      first_token_seconds_(kSeconds),
      per_token_seconds_(kTokenSeconds),
      queue_seconds_(kSeconds) {}

void Metrics::count_request(std::string_view route, int status, double seconds) {
  ++requests_[{std::string(route), status}];
  request_seconds_.add(seconds);
}

void Metrics::count_reply(std::string_view model, const api::Spent& spent) {
  const auto add = [&spent](Tokens& to) {
    to.prompt += spent.prompt_tokens;
    to.cached += spent.cached_tokens;
    to.output += spent.output_tokens;
    to.reasoning += spent.reasoning_tokens;
  };
  add(tokens_);
  if (!model.empty()) add(by_model_[std::string(model)]);
  if (spent.first_token) first_token_seconds_.add(*spent.first_token);
  if (spent.output_tokens > 0) queue_seconds_.add(spent.queue_seconds);
  if (spent.output_tokens > 1) {
    per_token_seconds_.add(spent.decode_seconds / static_cast<double>(spent.output_tokens - 1));
  }
}

std::string Metrics::text(std::span<const api::ModelStatus> models, bool ready, std::size_t connections) const {
  std::string out;
  write_head("minke_requests_total", "Requests by route and status; 499: the client left.", "counter", out);
  for (const auto& [key, count] : requests_) {
    out += base::cat("minke_requests_total{route=\"", key.first, "\",status=\"", key.second, "\"} ", count, "\n");
  }
  write_head("minke_tokens_total", "Tokens by kind; cached ones are prompt tokens, reasoning ones output.", "counter",
             out);
  write_tokens("minke_tokens_total{", tokens_.prompt, tokens_.cached, tokens_.output, tokens_.reasoning, out);
  write_head("minke_model_tokens_total", "The same by model.", "counter", out);
  for (const auto& [name, t] : by_model_) {
    write_tokens(base::cat("minke_model_tokens_total{model=\"", label(name), "\","), t.prompt, t.cached, t.output,
                 t.reasoning, out);
  }
  request_seconds_.write("minke_request_seconds", "From a request's head to its end.", out);
  first_token_seconds_.write("minke_time_to_first_token_seconds", "From submission to the first token.", out);
  per_token_seconds_.write("minke_time_per_output_token_seconds", "Mean of each reply, after its first token.", out);
  queue_seconds_.write("minke_queue_seconds", "From submission to the first step.", out);
  write_one("minke_connections", "Open connections.", "gauge", connections, out);
  write_one("minke_ready", "1 when the model is loaded.", "gauge", ready ? 1 : 0, out);
  write_models(models, out);
  return out;
}

}  // namespace minke::server
