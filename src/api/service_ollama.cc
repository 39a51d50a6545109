// Service: Ollama's routes.
#include <algorithm>
#include <chrono>
#include <ctime>
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
std::string digest_of(const Offer& offer) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const std::string what = base::cat(offer.name, "|", offer.bytes, "|", offer.modified);
  std::string text;
  for (const std::byte b : base::Sha256().add(what).finish()) {
    text.push_back(kDigits[std::to_integer<std::size_t>(b >> 4)]);
    text.push_back(kDigits[std::to_integer<std::size_t>(b & std::byte{15})]);
  }
  return text;
}

/// `architecture`: empty where it is not known.
json::object details_of(const std::string& architecture) {
  json::object details{{"family", json_text(architecture)}};
  details["families"] = architecture.empty() ? json::array() : json::array{json_text(architecture)};
  return details;
}

json::object entry_of(const Offer& offer, const std::string& name, const Model* model) {
  return {{"name", json_bytes(name)},
          {"model", json_bytes(name)},
          {"modified_at", json_text(ollama_time(offer.modified))},
          {"size", offer.bytes},
          {"digest", json_text(digest_of(offer))},
          {"details", details_of(model != nullptr ? model->architecture : std::string())}};
}

/// When it will be unloaded; its clients read a time that is far away as "for ever".
std::string expiry_of(const ModelStatus& status) {
  constexpr std::int64_t kFar = std::int64_t{100} * 365 * 86400;
  const std::int64_t left =
      status.expires ? std::chrono::duration_cast<std::chrono::seconds>(*status.expires).count() : kFar;
  return ollama_time(static_cast<std::int64_t>(std::time(nullptr)) + left);
}

Prompt prompt_of(const Model& model, OllamaRequest& asked) {
  if (!asked.suffix.empty()) return model.fill_prompt(asked.prompt, asked.suffix);
  if (asked.raw) return model.text_prompt(asked.prompt);
  return model.chat_prompt({.messages = asked.messages,
                            .thinking = asked.thinking,
                            .continue_last = asked.continue_last,
                            .tools = &asked.tools});
}

}  // namespace

Answer Service::ollama_reply(OllamaRequest&& asked, OllamaKind kind, const Call& call) const {
  const std::string& name = asked.common.model;
  if (asked.nothing && asked.idle == IdleTime::zero()) {
    pool_->release(offer_of(name, call.dialect).name);
    return json_response(ollama_empty(kind, name, "unload"));
  }
  auto holds = find(name, call,
                    {.events = asked.common.stream,
                     .idle = asked.idle,
                     .piece = asked.common.stream ? ollama_piece(kind, name) : std::string()});
  if (asked.nothing) return json_response(ollama_empty(kind, name, "load"));
  const Model& model = *holds;
  const engine::Request request =
      engine_request(model, asked.common, asked.thinking, call, &asked.tools, asked.continue_last);
  std::vector<Prompt> prompts;
  prompts.push_back(prompt_of(model, asked));
  auto generation = std::make_unique<Generation>(model, std::move(prompts), request, call.notify);
  return held(std::move(holds),
              make_ollama_stream(std::move(generation), kind, name, asked.common.stream, call.load_seconds));
}

Answer Service::ollama_chat(const Call& call) const {
  const json::object body = parse_body(call.body);
  return ollama_reply(parse_ollama_chat(Fields(body)), OllamaKind::chat, call);
}

Answer Service::ollama_generate(const Call& call) const {
  const json::object body = parse_body(call.body);
  return ollama_reply(parse_ollama_generate(Fields(body)), OllamaKind::generate, call);
}

Response Service::ollama_tags() const {
  const std::vector<ModelStatus> status = pool_->status();
  json::array list;
  for (const Offer& offer : pool_->source().offers()) {
    const auto found = std::ranges::find(status, offer.name,
                                         [](const ModelStatus& one) -> const std::string& { return one.offer.name; });
    const Model* model = found == status.end() ? nullptr : found->model.get();
    list.emplace_back(entry_of(offer, offer.name, model));
    for (const std::string& alias : offer.aliases) list.emplace_back(entry_of(offer, alias, model));
  }
  return json_response({{"models", std::move(list)}});
}

Response Service::ollama_running() const {
  json::array list;
  for (const ModelStatus& status : pool_->status()) {
    json::object entry = entry_of(status.offer, status.offer.name, status.model.get());
    if (status.bytes != 0) entry["size"] = status.bytes;
    entry["size_vram"] = 0;
    entry["expires_at"] = json_text(expiry_of(status));
    entry["context_length"] = status.model ? status.model->context : 0;
    entry["state"] = json_text(to_string(status.state));
    entry["users"] = status.users;
    if (status.expires) {
      entry["expires_in"] = std::chrono::duration_cast<std::chrono::seconds>(*status.expires).count();
    } else if (!status.load) {
      entry["stays"] = true;
    }
    if (status.load) entry["progress"] = json_text(status.load->text(status.offer.name));
    list.emplace_back(std::move(entry));
  }
  return json_response({{"models", std::move(list)}});
}

Response Service::ollama_show(const Call& call) const {
  const json::object body = parse_body(call.body);
  const Fields fields(body);
  auto name = fields.text("model");
  if (!name) name = fields.text("name");
  if (!name) throw ApiError(Fault::malformed, "model: missing", "model");
  const Offer offer = offer_of(*name, call.dialect);
  OfferDetails details;
  std::int64_t modified = offer.modified;
  for (const ModelStatus& status : pool_->status()) {
    if (status.offer.name != offer.name || !status.model) continue;
    const Model& model = *status.model;
    details = {.architecture = model.architecture, .context = model.context, .chats = model.encoding != nullptr};
    details.tools = model.encoding && model.encoding->tool_format() != text::ToolFormat::none;
    modified = model.created;
  }
  if (details.architecture.empty()) details = pool_->source().details(offer.name);
  json::object info{{"general.architecture", json_text(details.architecture)}};
  info[base::cat(details.architecture, ".context_length")] = details.context;
  json::array capabilities{"completion"};
  if (details.tools) capabilities.emplace_back("tools");
  return json_response({{"details", details_of(details.architecture)},
                        {"model_info", std::move(info)},
                        {"capabilities", std::move(capabilities)},
                        {"modified_at", json_text(ollama_time(modified))}});
}

}  // namespace minke::api
