#include "server/metrics.h"

#include <algorithm>

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

void Metrics::count_reply(const api::Spent& spent) {
  prompt_tokens_ += spent.prompt_tokens;
  cached_tokens_ += spent.cached_tokens;
  output_tokens_ += spent.output_tokens;
  reasoning_tokens_ += spent.reasoning_tokens;
  if (spent.first_token) first_token_seconds_.add(*spent.first_token);
  if (spent.output_tokens > 0) queue_seconds_.add(spent.queue_seconds);
  if (spent.output_tokens > 1) {
    per_token_seconds_.add(spent.decode_seconds / static_cast<double>(spent.output_tokens - 1));
  }
}

std::string Metrics::text(const api::GeneratorStatus* status, std::size_t connections) const {
  std::string out;
  write_head("minke_requests_total", "Requests by route and status; 499: the client left.", "counter", out);
  for (const auto& [key, count] : requests_) {
    out += base::cat("minke_requests_total{route=\"", key.first, "\",status=\"", key.second, "\"} ", count, "\n");
  }
  write_head("minke_tokens_total", "Tokens by kind; cached ones are prompt tokens, reasoning ones output.", "counter",
             out);
  const auto tokens = [&out](std::string_view kind, std::uint64_t count) {
    out += base::cat("minke_tokens_total{kind=\"", kind, "\"} ", count, "\n");
  };
  tokens("prompt", prompt_tokens_);
  tokens("cached", cached_tokens_);
  tokens("output", output_tokens_);
  tokens("reasoning", reasoning_tokens_);
  request_seconds_.write("minke_request_seconds", "From a request's head to its end.", out);
  first_token_seconds_.write("minke_time_to_first_token_seconds", "From submission to the first token.", out);
  per_token_seconds_.write("minke_time_per_output_token_seconds", "Mean of each reply, after its first token.", out);
  queue_seconds_.write("minke_queue_seconds", "From submission to the first step.", out);
  write_one("minke_connections", "Open connections.", "gauge", connections, out);
  write_one("minke_ready", "1 when the model is loaded.", "gauge", status == nullptr ? 0 : 1, out);
  if (status == nullptr) return out;
  write_one("minke_running", "Replies that are being computed.", "gauge", status->running, out);
  write_one("minke_waiting", "Requests in the queue.", "gauge", status->waiting, out);
  write_one("minke_cache_blocks", "Blocks of 64 tokens that the cache has.", "gauge", status->cache_blocks, out);
  write_one("minke_cache_free_blocks", "Of these, not in use by a reply.", "gauge", status->free_blocks, out);
  write_one("minke_cache_kept_blocks", "Of these, kept for reuse.", "gauge", status->cached_blocks, out);
  write_one("minke_cache_hits_total", "Blocks that were found and reused.", "counter", status->cache_hits, out);
  write_one("minke_cache_evictions_total", "Kept blocks given up for others.", "counter", status->evictions, out);
  write_one("minke_preemptions_total", "Replies interrupted to make room.", "counter", status->preemptions, out);
  write_one("minke_drafted_tokens_total", "Tokens that were guessed and run.", "counter", status->drafted, out);
  write_one("minke_accepted_tokens_total", "Guessed tokens that were right.", "counter", status->accepted, out);
  write_one("minke_disk_read_total", "Blocks read from the cache on disk.", "counter", status->disk_read, out);
  write_one("minke_disk_written_total", "Blocks written there.", "counter", status->disk_written, out);
  write_one("minke_disk_refused_total", "Damaged or foreign blocks there.", "counter", status->disk_refused, out);
  write_one("minke_disk_bytes", "That its blocks take.", "gauge", status->disk_bytes, out);
  write_one("minke_steps_total", "Steps of the model.", "counter", status->steps, out);
  write_one("minke_last_step_age_seconds", "Since the last step's end.", "gauge", status->last_step_age, out);
  return out;
}

}  // namespace minke::server
