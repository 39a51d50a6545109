#include "api/service.h"

#include <algorithm>
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

Answer start(std::shared_ptr<const Model> model, std::vector<Prompt> prompts, const engine::Request& request,
             const CommonRequest& common, std::unique_ptr<ReplyFormat> format, const Call& call) {
  auto generation = std::make_unique<Generation>(*model, std::move(prompts), request, call.notify);
  return held(std::move(model), make_reply_stream(std::move(generation), std::move(format),
                                                  {.events = common.stream,
                                                   .include_usage = common.include_usage,
                                                   .progress = common.progress,
                                                   .dialect = call.dialect}));
}

/// A stream, its model, and what is to be said of it.
class HeldStream final : public WrappedStream {
 public:
  HeldStream(std::shared_ptr<const Model> model, std::unique_ptr<Stream> stream, std::string warning)
      : WrappedStream(std::move(stream)), model_(std::move(model)), warning_(std::move(warning)) {}
  ~HeldStream() override { end(); }
  HeldStream(const HeldStream&) = delete;
  HeldStream& operator=(const HeldStream&) = delete;

  std::string_view model() const noexcept override { return model_->name; }
  std::string_view warning() const noexcept override { return warning_; }

 private:
  std::shared_ptr<const Model> model_;
  std::string warning_;
};

/// An event that tells of a failure before the reply has begun.
std::string failed_event(const ApiError& error, Dialect dialect) {
  if (dialect == Dialect::ollama) return base::cat(error.body(dialect), "\n");
  return base::cat(dialect == Dialect::anthropic ? "event: error\n" : "", "data: ", error.body(dialect), "\n\n");
}

std::string failed_response(const ApiError& error) {
  const json::object event{{"type", "error"},
                           {"code", "server_error"},
                           {"message", json_bytes(error.message())},
                           {"param", nullptr},
                           {"sequence_number", 0}};
  return base::cat("event: error\ndata: ", json::serialize(event), "\n\n");
}

/// "a, b, c", of many the first.
std::string names_of(const std::vector<Offer>& offers) {
  constexpr std::size_t kMost = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(offers.size(), kMost); ++i) {
    text += base::cat(i == 0 ? "" : ", ", offers[i].name);
  }
  return offers.size() > kMost ? text + ", ..." : text;
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

/// Of requests that need not name one.
std::string model_in(const Fields& fields, const ModelPool& pool) {
  const auto name = fields.text("model");
  return name && !name->empty() ? std::string(*name) : pool.default_name();
}

/// Null when it is not loaded.
const Model* loaded(const std::vector<ModelStatus>& status, std::string_view name) {
  for (const ModelStatus& one : status) {
    if (one.offer.name == name) return one.model.get();
  }
  return nullptr;
}

/// `model`: null when it is not loaded; then its context is not known yet.
json::object model_json(const Offer& offer, const Model* model, const std::string& name, Dialect dialect) {
  const std::int64_t created = model != nullptr ? model->created : offer.modified;
  json::object item{{"id", json_bytes(name)}, {"object", "model"}, {"created", created}, {"owned_by", "minke"}};
  item["loaded"] = model != nullptr;
  if (model != nullptr) {
    item["max_model_len"] = model->context;
    item["context_window"] = model->context;
    item["max_output_tokens"] = model->context;
  }
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

Answer held(std::shared_ptr<const Model> model, std::unique_ptr<Stream> stream, std::string warning) {
  return std::make_unique<HeldStream>(std::move(model), std::move(stream), std::move(warning));
}

Offer Service::offer_of(std::string_view name, Dialect dialect) const {
  const ModelSource& source = pool_->source();
  if (auto offer = source.find(name)) return *std::move(offer);
  constexpr std::string_view kLatest = ":latest";
  if (dialect == Dialect::ollama && name.ends_with(kLatest)) name.remove_suffix(kLatest.size());
  // Anthropic's clients have their models' names built in, as DeepSeek's have theirs.
  const bool built_in = is_deepseek_name(name) || (dialect == Dialect::anthropic && name.starts_with("claude-"));
  if (auto offer = source.find(built_in ? pool_->default_name() : std::string(name))) return *std::move(offer);
  const std::vector<Offer> offers = source.offers();
  throw ApiError(Fault::unknown_model,
                 offers.empty() ? std::string("there is no model here; \"minke pull\" fetches some")
                                : base::cat("there is no model \"", name, "\" here, but ", names_of(offers)),
                 "model");
}

std::shared_ptr<const Model> Service::find(std::string_view name, const Call& call, ModelWish wish) const {
  if (call.model) return call.model;
  Offer offer = offer_of(name, call.dialect);
  if (auto model = pool_->hold(offer.name, wish.idle)) return model;
  if (!wish.failed) {
    wish.failed = [dialect = call.dialect](const ApiError& error) { return failed_event(error, dialect); };
  }
  throw ModelAbsent{.name = std::move(offer.name),
                    .events = wish.events,
                    .idle = wish.idle,
                    .piece = std::move(wish.piece),
                    .failed = std::move(wish.failed)};
}

Prompt Service::tool_prompt(const Model& model, Conversation chat, std::vector<text::Message>& messages,
                            const engine::Request& request, std::string_view id_prefix) const {
  // The fingerprint, too: under a name there may be another file one day.
  const std::string drawn_by = base::cat(model.fingerprint, "|", model.name);
  calls_->restore(request.salt, drawn_by, messages);
  chat.messages = messages;
  Prompt prompt = model.chat_prompt(chat);
  if (prompt.tools) {
    prompt.tools->id_prefix = id_prefix;
    prompt.tools->store = calls_;
    prompt.tools->owner = request.salt;
    prompt.tools->drawn_by = drawn_by;
  }
  return prompt;
}

Answer Service::chat_completions(const Call& call) const {
  const json::object body = parse_body(call.body);
  ChatRequest asked = parse_chat_request(Fields(body));
  auto holds = find(asked.common.model, call, {.events = asked.common.stream});
  const Model& model = *holds;
  engine::Request request =
      engine_request(model, asked.common, asked.thinking, call, &asked.tools, asked.continue_last);
  request.logprobs = asked.logprobs;
  std::vector<Prompt> prompts;
  prompts.push_back(tool_prompt(
      model, {.messages = {}, .thinking = asked.thinking, .continue_last = asked.continue_last, .tools = &asked.tools},
      asked.messages, request, "call_"));
  auto format = make_chat_format(envelope(model, asked.common, "chatcmpl-", call.dialect), *model.tokenizer,
                                 asked.logprobs.has_value());
  return start(std::move(holds), std::move(prompts), request, asked.common, std::move(format), call);
}

Answer Service::completions(const Call& call) const {
  const json::object body = parse_body(call.body);
  CompletionRequest asked = parse_completion_request(Fields(body));
  auto holds = find(asked.common.model, call, {.events = asked.common.stream});
  const Model& model = *holds;
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
  return start(std::move(holds), std::move(prompts), request, asked.common, std::move(format), call);
}

Answer Service::responses(const Call& call) const {
  const json::object body = parse_body(call.body);
  ResponsesRequest asked = parse_responses_request(Fields(body));
  auto holds = find(asked.common.model, call, {.events = asked.common.stream, .failed = failed_response});
  const Model& model = *holds;
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
  std::string warning;
  for (const std::string& one : asked.tools.warnings) warning += base::cat(warning.empty() ? "" : "; ", one);
  auto stream = make_responses_stream(std::move(generation), envelope(model, asked.common, "resp_", call.dialect),
                                      std::move(options), *model.tokenizer);
  return held(std::move(holds), std::move(stream), std::move(warning));
}

Answer Service::embed(EmbeddingRequest&& asked, const Call& call) const {
  auto holds = find(asked.model, call, {.idle = asked.idle});
  const Model& model = *holds;
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
  auto stream = make_embedding_stream(holds, std::move(inputs), request,
                                      {.model = std::move(asked.model),
                                       .dialect = call.dialect,
                                       .base64 = asked.base64,
                                       .load_seconds = call.load_seconds},
                                      call.notify);
  return held(std::move(holds), std::move(stream));
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
  auto holds = find(asked.common.model, call, {.events = asked.common.stream});
  const Model& model = *holds;
  const engine::Request request =
      engine_request(model, asked.common, asked.thinking, call, &asked.tools, asked.continue_last);
  std::vector<Prompt> prompts;
  prompts.push_back(tool_prompt(
      model, {.messages = {}, .thinking = asked.thinking, .continue_last = asked.continue_last, .tools = &asked.tools},
      asked.messages, request, "toolu_"));
  auto generation = std::make_unique<Generation>(model, std::move(prompts), request, call.notify);
  auto stream = make_messages_stream(std::move(generation), envelope(model, asked.common, "msg_", call.dialect),
                                     asked.common.stream);
  return held(std::move(holds), std::move(stream));
}

Response Service::count_tokens(const Call& call) const {
  const json::object body = parse_body(call.body);
  MessagesRequest asked = parse_messages_request(Fields(body), true);
  const auto holds = find(asked.common.model, call);
  const Model& model = *holds;
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
  const auto holds = find(model_in(fields, *pool_), call);
  const Model& model = *holds;
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
  const Fields fields(body);
  const json::array* array = fields.array("tokens");
  if (array == nullptr) throw ApiError(Fault::malformed, "tokens: missing", "tokens");
  const auto model = find(model_in(fields, *pool_), call);
  const std::string text = model->tokenizer->decode(parse_tokens(*array, "tokens"));
  return json_response({{"content", json_bytes(text)}, {"prompt", json_bytes(text)}});
}

Response Service::models(Dialect dialect) const {
  const std::vector<ModelStatus> status = pool_->status();
  json::array list;
  for (const Offer& offer : pool_->source().offers()) {
    const Model* model = loaded(status, offer.name);
    list.emplace_back(model_json(offer, model, offer.name, dialect));
    for (const std::string& alias : offer.aliases) list.emplace_back(model_json(offer, model, alias, dialect));
  }
  return json_response({{"object", "list"}, {"data", std::move(list)}});
}

Response Service::model(std::string_view name, Dialect dialect) const {
  const Offer offer = offer_of(name, dialect);
  const std::vector<ModelStatus> status = pool_->status();
  return json_response(model_json(offer, loaded(status, offer.name), std::string(name), dialect));
}

}  // namespace minke::api
