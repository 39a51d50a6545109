// Service: Ollama's routes.
#include <span>
#include <utility>

#include <boost/json/array.hpp>

#include "api/json_text.h"
#include "api/ollama_request.h"
#include "api/ollama_stream.h"
#include "api/service_parts.h"
#include "base/cat.h"
#include "base/sha256.h"

namespace minke::api {
namespace {

namespace json = boost::json;

/// Its clients tell models apart by 64 digits.
std::string digest_of(const Model& model) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte b : base::Sha256().add(model.fingerprint).finish()) {
    text.push_back(kDigits[std::to_integer<std::size_t>(b >> 4)]);
    text.push_back(kDigits[std::to_integer<std::size_t>(b & std::byte{15})]);
  }
  return text;
}

json::object details_of(const Model& model) {
  return {{"family", json_text(model.architecture)}, {"families", json::array{json_text(model.architecture)}}};
}

json::object entry_of(const Model& model, const std::string& name) {
  return {{"name", json_bytes(name)},
          {"model", json_bytes(name)},
          {"modified_at", json_text(ollama_time(model.created))},
          {"size", model.bytes},
          {"digest", json_text(digest_of(model))},
          {"details", details_of(model)}};
}

Prompt prompt_of(const Model& model, OllamaRequest& asked) {
  if (!asked.suffix.empty()) return model.fill_prompt(asked.prompt, asked.suffix);
  if (asked.raw) return model.text_prompt(asked.prompt);
  return model.chat_prompt({.messages = asked.messages,
                            .thinking = asked.thinking,
                            .continue_last = asked.continue_last,
                            .tools = &asked.tools});
}

Answer answer(const Model& model, OllamaRequest&& asked, OllamaKind kind, const Call& call) {
  if (asked.nothing) return json_response(ollama_loaded(kind, asked.common.model));
  const engine::Request request =
      engine_request(model, asked.common, asked.thinking, call, &asked.tools, asked.continue_last);
  std::vector<Prompt> prompts;
  prompts.push_back(prompt_of(model, asked));
  auto generation = std::make_unique<Generation>(model, std::move(prompts), request, call.notify);
  return make_ollama_stream(std::move(generation), kind, asked.common.model, asked.common.stream);
}

}  // namespace

Answer Service::ollama_chat(const Call& call) const {
  const json::object body = parse_body(call.body);
  OllamaRequest asked = parse_ollama_chat(Fields(body));
  const Model& model = find(asked.common.model, call.dialect);
  return answer(model, std::move(asked), OllamaKind::chat, call);
}

Answer Service::ollama_generate(const Call& call) const {
  const json::object body = parse_body(call.body);
  OllamaRequest asked = parse_ollama_generate(Fields(body));
  const Model& model = find(asked.common.model, call.dialect);
  return answer(model, std::move(asked), OllamaKind::generate, call);
}

Response Service::ollama_tags() const {
  json::array list{entry_of(*model_, model_->name)};
  for (const std::string& alias : model_->aliases) list.emplace_back(entry_of(*model_, alias));
  return json_response({{"models", std::move(list)}});
}

Response Service::ollama_running() const {
  json::object entry = entry_of(*model_, model_->name);
  entry["size_vram"] = 0;
  entry["context_length"] = model_->context;
  return json_response({{"models", json::array{std::move(entry)}}});
}

Response Service::ollama_show(const Call& call) const {
  const json::object body = parse_body(call.body);
  const Fields fields(body);
  auto name = fields.text("model");
  if (!name) name = fields.text("name");
  if (!name) throw ApiError(Fault::malformed, "model: missing", "model");
  const Model& model = find(*name, call.dialect);
  json::object info{{"general.architecture", json_text(model.architecture)}};
  info[base::cat(model.architecture, ".context_length")] = model.context;
  json::array capabilities{"completion"};
  if (model.encoding && model.encoding->tool_format() != text::ToolFormat::none) capabilities.emplace_back("tools");
  return json_response({{"details", details_of(model)},
                        {"model_info", std::move(info)},
                        {"capabilities", std::move(capabilities)},
                        {"modified_at", json_text(ollama_time(model.created))}});
}

}  // namespace minke::api
