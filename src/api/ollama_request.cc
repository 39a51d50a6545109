#include "api/ollama_request.h"

#include <limits>
#include <utility>

#include "api/api_error.h"
#include "api/chat_request.h"
#include "api/field_table.h"
#include "base/cat.h"
#include "text/json_access.h"

namespace minke::api {
namespace {

namespace json = boost::json;

constexpr std::int64_t kMostPredicted = std::int64_t{1} << 32;

/// Ollama's names for what other requests have at the top.
void parse_options(const Fields& request, CommonRequest& out) {
  const auto options = request.object("options");
  if (!options) return;
  // -1 and -2: until the context is full.
  const auto most = options->integer("num_predict", -2, kMostPredicted);
  if (most && *most > 0) out.max_tokens = static_cast<std::size_t>(*most);
  parse_sampling(*options, out);
  out.stops = parse_stops(*options);
}

CommonRequest common_of(const Fields& request) {
  CommonRequest out;
  const auto model = request.text("model");
  if (!model || model->empty()) throw ApiError(Fault::malformed, "model: missing", "model");
  out.model = *model;
  out.stream = request.flag("stream").value_or(true);
  parse_options(request, out);
  out.format = parse_ollama_format(request);
  return out;
}

void read_thinking(const Fields& request, OllamaRequest& out) {
  const json::value* think = request.find("think");
  if (think == nullptr) return;
  if (think->is_bool()) {
    out.thinking = think->get_bool() ? text::Thinking::on : text::Thinking::off;
    return;
  }
  const Effort effort = parse_effort(text_of(*think, "think"), "think");
  out.thinking = effort.thinking;
  out.common.thinking_tokens = effort.tokens;
}

}  // namespace

std::optional<IdleTime> parse_keep_alive(const Fields& request) {
  const json::value* given = request.find("keep_alive");
  if (given == nullptr) return std::nullopt;
  if (given->is_number()) return idle_time(given->to_number<double>());
  const std::string_view text = text_of(*given, request.place("keep_alive"));
  const auto time = parse_idle_time(text);
  if (!time) throw_invalid(request.place("keep_alive"), R"(expected seconds, or a time like "5m" or "1h30m")");
  return time;
}

OllamaRequest parse_ollama_chat(const Fields& request) {
  refuse_fields(request, ollama_rules());
  OllamaRequest out;
  out.common = common_of(request);
  out.idle = parse_keep_alive(request);
  read_thinking(request, out);
  const json::array* messages = request.array("messages");
  out.nothing = messages == nullptr || messages->empty();
  if (out.nothing) return out;
  out.messages = parse_messages(request);
  out.tools = parse_ollama_tools(request);
  out.continue_last = out.messages.back().role == text::Role::assistant && out.messages.back().tool_calls.empty();
  return out;
}

OllamaRequest parse_ollama_generate(const Fields& request) {
  refuse_fields(request, ollama_rules());
  OllamaRequest out;
  out.common = common_of(request);
  out.idle = parse_keep_alive(request);
  read_thinking(request, out);
  out.raw = request.flag("raw").value_or(false);
  out.prompt = request.text("prompt").value_or("");
  out.suffix = request.text("suffix").value_or("");
  out.nothing = out.prompt.empty() && out.suffix.empty();
  if (out.nothing || out.raw || !out.suffix.empty()) return out;
  if (const auto system = request.text("system"); system && !system->empty()) {
    out.messages.push_back({.role = text::Role::system, .content = std::string(*system), .reasoning = {}});
  }
  out.messages.push_back({.role = text::Role::user, .content = std::exchange(out.prompt, {}), .reasoning = {}});
  return out;
}

}  // namespace minke::api
