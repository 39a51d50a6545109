#include "api/service.h"

#include <ctime>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "api/chat_request.h"
#include "api/completion_request.h"
#include "api/constraint.h"
#include "api/embedding_stream.h"
#include "api/json_text.h"
#include "api/messages_request.h"
#include "api/messages_stream.h"
#include "api/reply_format.h"
#include "api/reply_stream.h"
#include "api/responses_request.h"
#include "api/responses_stream.h"
#include "api/service_parts.h"
#include "base/cat.h"
#include "text/breaker_tokens.h"

namespace minke::api {
namespace {

namespace json = boost::json;

/// A cache is one user's; names and users may hold anything, so their lengths part them.
std::string salt_of(const Identity& identity, const std::string& user) {
  return base::cat(identity.name.size(), ":", identity.name, ":", user);
}

Envelope envelope(const Model& model, const CommonRequest& common, std::string_view id_prefix, Dialect dialect) {
  return {.id = random_id(id_prefix),
          .created = static_cast<std::int64_t>(std::time(nullptr)),
          .model = common.model,
          .fingerprint = model.fingerprint,
          .dialect = dialect};
}

Answer start(const Model& model, std::vector<Prompt> prompts, const engine::Request& request,
             const CommonRequest& common, std::unique_ptr<ReplyFormat> format, const Call& call) {
  auto generation = std::make_unique<Generation>(model, std::move(prompts), request, call.notify);
  return make_reply_stream(std::move(generation), std::move(format),
                           {.events = common.stream,
                            .include_usage = common.include_usage,
                            .progress = common.progress,
                            .dialect = call.dialect});
}

/// `echo`: not empty when the prompt's text is wanted there.
Prompt prompt_of(const Model& model, PromptText&& given, const std::string& suffix, std::string& echo) {
  if (!suffix.empty()) {
    const std::string& text = std::get<std::string>(given);
    if (!echo.empty()) echo = text;
    return model.fill_prompt(text, suffix);
  }
  if (auto* tokens = std::get_if<std::vector<engine::TokenId>>(&given)) {
    if (!echo.empty()) echo = base::to_valid_utf8(model.tokenizer->decode(*tokens));
    Prompt prompt;
    prompt.tokens = std::move(*tokens);
    return prompt;
  }
  const std::string& text = std::get<std::string>(given);
  if (!echo.empty()) echo = text;
  return model.text_prompt(text);
}

json::object model_json(const Model& model, const std::string& name, Dialect dialect) {
  json::object item{{"id", json_bytes(name)}, {"object", "model"}, {"created", model.created}, {"owned_by", "minke"}};
  item["max_model_len"] = model.context;
  item["context_window"] = model.context;
  item["max_output_tokens"] = model.context;
  if (dialect == Dialect::deepseek) {
    item["name"] = json_bytes(name);
    item["input_modalities"] = json::array{"text"};
    item["output_modalities"] = json::array{"text"};
  }
  return item;
}

}  // namespace

engine::Request engine_request(const Model& model, const CommonRequest& common, text::Thinking thinking,
                               const Call& call, const ToolRequest* tools, bool continues) {
  engine::Request request;
  request.constraint =
      compile_rules(model, {.format = common.format, .tools = tools, .continues = continues}, call.patient);
  request.sampling = common.sampling(model.defaults(thinking));
  engine::DryParams& dry = request.sampling.dry;
  if (dry.multiplier > 0) {
    for (const std::string& breaker : common.dry_breakers) {
      auto tokens = text::breaker_tokens(*model.tokenizer, breaker);
      if (!tokens.empty()) dry.breakers.push_back(std::move(tokens));
    }
  }
  request.max_tokens = common.max_tokens.value_or(0);
  request.min_tokens = common.min_tokens;
  // What a grammar has come to the end of has ended.
  if (!common.ignore_eos || request.constraint) request.stop_tokens = model.stop_tokens;
  request.stop_tokens.insert(request.stop_tokens.end(), common.stop_tokens.begin(), common.stop_tokens.end());
  request.stop_strings = common.stops;
  request.identity = call.identity.name;
  request.salt = salt_of(call.identity, common.user);
  request.samples = common.samples;
  request.thinking.max_tokens = common.thinking_tokens;
  return request;
}

Response json_response(const json::object& body) { return {.body = json::serialize(body)}; }

const Model& Service::find(std::string_view name, Dialect dialect) const {
  // Anthropic's clients have their models' names built in, as DeepSeek's have theirs.
  const bool claude = dialect == Dialect::anthropic && name.starts_with("claude-");
  if (dialect == Dialect::ollama && name.ends_with(":latest") && !model_->answers_to(name)) {
    name.remove_suffix(std::string_view(":latest").size());
  }
  if (!claude && !model_->answers_to(name)) {
    throw ApiError(Fault::unknown_model, base::cat("the model \"", name, "\" is not loaded; there is ", model_->name),
                   "model");
  }
  return *model_;
}

Prompt Service::tool_prompt(const Model& model, Conversation chat, std::vector<text::Message>& messages,
                            const engine::Request& request, std::string_view id_prefix) const {
  calls_->restore(request.salt, messages);
  chat.messages = messages;
  Prompt prompt = model.chat_prompt(chat);
  if (prompt.tools) {
    prompt.tools->id_prefix = id_prefix;
    prompt.tools->store = calls_;
    prompt.tools->owner = request.salt;
  }
  return prompt;
}

Answer Service::chat_completions(const Call& call) const {
  const json::object body = parse_body(call.body);
  ChatRequest asked = parse_chat_request(Fields(body));
  const Model& model = find(asked.common.model, call.dialect);
  engine::Request request =
      engine_request(model, asked.common, asked.thinking, call, &asked.tools, asked.continue_last);
  request.logprobs = asked.logprobs;
  std::vector<Prompt> prompts;
  prompts.push_back(tool_prompt(
      model, {.messages = {}, .thinking = asked.thinking, .continue_last = asked.continue_last, .tools = &asked.tools},
      asked.messages, request, "call_"));
  auto format = make_chat_format(envelope(model, asked.common, "chatcmpl-", call.dialect), *model.tokenizer,
                                 asked.logprobs.has_value());
  return start(model, std::move(prompts), request, asked.common, std::move(format), call);
}

Answer Service::completions(const Call& call) const {
  const json::object body = parse_body(call.body);
  CompletionRequest asked = parse_completion_request(Fields(body));
  const Model& model = find(asked.common.model, call.dialect);
  engine::Request request = engine_request(model, asked.common, text::Thinking::automatic, call);
  request.logprobs = asked.logprobs;
  std::vector<Prompt> prompts;
  std::vector<std::string> echoes;
  for (PromptText& given : asked.prompts) {
    std::string echo = asked.echo ? "wanted" : "";
    prompts.push_back(prompt_of(model, std::move(given), asked.suffix, echo));
    if (prompts.back().tokens.empty()) throw_invalid("prompt", "it is empty, and the model has no token to begin with");
    echoes.push_back(std::move(echo));
  }
  auto format = make_completion_format(envelope(model, asked.common, "cmpl-", call.dialect), *model.tokenizer,
                                       asked.logprobs, std::move(echoes), asked.common.samples);
  return start(model, std::move(prompts), request, asked.common, std::move(format), call);
}

Answer Service::responses(const Call& call) const {
  const json::object body = parse_body(call.body);
  ResponsesRequest asked = parse_responses_request(Fields(body));
  const Model& model = find(asked.common.model, call.dialect);
  engine::Request request = engine_request(model, asked.common, asked.thinking, call, &asked.tools.request);
  request.logprobs = asked.logprobs;
  std::vector<Prompt> prompts;
  prompts.push_back(tool_prompt(model, {.messages = {}, .thinking = asked.thinking, .tools = &asked.tools.request},
                                asked.messages, request, "call_"));
  auto generation = std::make_unique<Generation>(model, std::move(prompts), request, call.notify);
  ResponsesOptions options{.echo = std::move(asked.echo),
                           .tools = std::move(asked.tools.tools),
                           .logprobs = asked.logprobs.has_value(),
                           .events = asked.common.stream};
  return make_responses_stream(std::move(generation), envelope(model, asked.common, "resp_", call.dialect),
                               std::move(options), *model.tokenizer);
}

Answer Service::embed(EmbeddingRequest&& asked, const Call& call) const {
  const Model& model = find(asked.model, call.dialect);
  if (asked.dimensions != 0 && asked.dimensions != model.hidden_size) {
    throw_invalid("dimensions", base::cat("the model's embeddings have ", model.hidden_size,
                                          " values, and cannot be shortened; got ", asked.dimensions));
  }
  std::vector<std::vector<engine::TokenId>> inputs;
  for (PromptText& given : asked.inputs) {
    std::string no_echo;
    inputs.push_back(prompt_of(model, std::move(given), {}, no_echo).tokens);
    std::vector<engine::TokenId>& tokens = inputs.back();
    if (asked.truncate && tokens.size() > model.context) tokens.resize(model.context);
    // Before anything is submitted: later it would be after the first byte.
    if (tokens.size() > model.context) {
      throw ApiError(Fault::context_overflow,
                     base::cat("input[", inputs.size() - 1, "] has ", tokens.size(), " tokens, but the context holds ",
                               model.context),
                     "input");
    }
  }
  engine::Request request;
  request.pooling = asked.pooling;
  request.identity = call.identity.name;
  request.salt = salt_of(call.identity, asked.user);
  return make_embedding_stream(model_, std::move(inputs), request,
                               {.model = std::move(asked.model), .dialect = call.dialect, .base64 = asked.base64},
                               call.notify);
}

Answer Service::embeddings(const Call& call) const {
  const json::object body = parse_body(call.body);
  return embed(parse_embedding_request(Fields(body)), call);
}

Answer Service::ollama_embed(const Call& call) const {
  const json::object body = parse_body(call.body);
  return embed(parse_ollama_embed(Fields(body)), call);
}

Answer Service::messages(const Call& call) const {
  const json::object body = parse_body(call.body);
  MessagesRequest asked = parse_messages_request(Fields(body), false);
  const Model& model = find(asked.common.model, call.dialect);
  const engine::Request request =
      engine_request(model, asked.common, asked.thinking, call, &asked.tools, asked.continue_last);
  std::vector<Prompt> prompts;
  prompts.push_back(tool_prompt(
      model, {.messages = {}, .thinking = asked.thinking, .continue_last = asked.continue_last, .tools = &asked.tools},
      asked.messages, request, "toolu_"));
  auto generation = std::make_unique<Generation>(model, std::move(prompts), request, call.notify);
  return make_messages_stream(std::move(generation), envelope(model, asked.common, "msg_", call.dialect),
                              asked.common.stream);
}

Response Service::count_tokens(const Call& call) const {
  const json::object body = parse_body(call.body);
  MessagesRequest asked = parse_messages_request(Fields(body), true);
  const Model& model = find(asked.common.model, call.dialect);
  asked.common.format.reset();  // costs no tokens
  const engine::Request request = engine_request(model, asked.common, asked.thinking, call);
  const Prompt prompt = tool_prompt(
      model, {.messages = {}, .thinking = asked.thinking, .continue_last = asked.continue_last, .tools = &asked.tools},
      asked.messages, request, "toolu_");
  return json_response({{"input_tokens", prompt.tokens.size()}});
}

Response Service::tokenize(const Call& call) const {
  const json::object body = parse_body(call.body);
  const Fields fields(body);
  const Model& model = *model_;
  std::vector<engine::TokenId> tokens;
  if (fields.find("messages") != nullptr) {
    const std::vector<text::Message> messages = parse_messages(fields);
    const ToolRequest tools = parse_tools(fields);
    tokens = model.chat_prompt({.messages = messages, .tools = &tools}).tokens;
  } else {
    auto text = fields.text("content");
    if (!text) text = fields.text("prompt");
    if (!text)
      throw ApiError(Fault::malformed, "content: missing; expected \"content\", \"prompt\" or \"messages\"", "content");
    bool special = fields.flag("add_special").value_or(false);
    special = fields.flag("add_special_tokens").value_or(special);
    tokens = special ? model.text_prompt(*text).tokens : model.tokenizer->encode(*text);
  }
  json::array list;
  const bool pieces = fields.flag("with_pieces").value_or(false);
  for (const engine::TokenId token : tokens) {
    if (pieces) {
      list.emplace_back(json::object{{"id", token}, {"piece", json_bytes(model.tokenizer->piece(token))}});
    } else {
      list.emplace_back(token);
    }
  }
  return json_response({{"tokens", std::move(list)}, {"count", tokens.size()}, {"max_model_len", model.context}});
}

Response Service::detokenize(const Call& call) const {
  const json::object body = parse_body(call.body);
  const json::array* array = Fields(body).array("tokens");
  if (array == nullptr) throw ApiError(Fault::malformed, "tokens: missing", "tokens");
  const std::string text = model_->tokenizer->decode(parse_tokens(*array, "tokens"));
  return json_response({{"content", json_bytes(text)}, {"prompt", json_bytes(text)}});
}

Response Service::models(Dialect dialect) const {
  json::array list;
  list.emplace_back(model_json(*model_, model_->name, dialect));
  for (const std::string& alias : model_->aliases) list.emplace_back(model_json(*model_, alias, dialect));
  return json_response({{"object", "list"}, {"data", std::move(list)}});
}

Response Service::model(std::string_view name, Dialect dialect) const {
  return json_response(model_json(find(name, dialect), std::string(name), dialect));
}

}  // namespace minke::api
