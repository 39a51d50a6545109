#include "api/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace minke::api {

StopMatcher::StopMatcher(std::span<const std::string> stops) {
  for (const std::string& stop : stops) {
    Automaton automaton{.stop = stop, .fallback = std::vector<std::size_t>(stop.size(), 0), .matched = 0};
    std::size_t matched = 0;
    for (std::size_t i = 1; i < stop.size(); ++i) {
      while (matched > 0 && stop[i] != stop[matched]) matched = automaton.fallback[matched - 1];
      if (stop[i] == stop[matched]) ++matched;
      automaton.fallback[i] = matched;
    }
    automata_.push_back(std::move(automaton));
  }
}

void StopMatcher::Automaton::step(char c) noexcept {
  while (matched > 0 && c != stop[matched]) matched = fallback[matched - 1];
  if (c == stop[matched]) ++matched;
}

std::string StopMatcher::push(std::string_view text) {
  if (found()) return {};
  if (automata_.empty()) return std::string(text);
  std::string all = std::exchange(held_, {});
  for (const char c : text) {
    all.push_back(c);
    for (Automaton& automaton : automata_) {
      automaton.step(c);
      const bool complete = automaton.matched == automaton.stop.size();
      if (complete && (!stop_ || stop_->size() < automaton.matched)) stop_ = automaton.stop;
    }
    if (stop_) {
      all.resize(all.size() - stop_->size());
      return all;
    }
  }
  std::size_t kept = 0;
  for (const Automaton& automaton : automata_) kept = std::max(kept, automaton.matched);
  held_ = all.substr(all.size() - kept);
  all.resize(all.size() - kept);
  return all;
}

std::string StopMatcher::finish() { return found() ? std::string() : std::exchange(held_, {}); }

}  // namespace minke::api
