#include "api/field_table.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>

#include "base/cat.h"

namespace minke::api {
namespace {

namespace json = boost::json;
using enum Treatment;

constexpr std::string_view kSchema = "a JSON Schema that the answer follows, as an object or as text";
constexpr std::string_view kRegex = "a regular expression (Rust's syntax) that matches the whole answer";
constexpr std::string_view kChoice = "up to 10,000 texts, of which the answer is one";
constexpr std::string_view kGrammar =
    "a grammar in llguidance's form of Lark; GBNF and EBNF (rules with ::=) are refused";

/// Rows of several requests, one after the other.
template <std::size_t... sizes>
constexpr auto join(const FieldRule (&... parts)[sizes]) {
  std::array<FieldRule, (sizes + ...)> all{};
  auto to = all.begin();
  ((to = std::copy(std::begin(parts), std::end(parts), to)), ...);
  return all;
}

constexpr FieldRule kModel[] = {{"model", honoured, "a loaded model's name or alias"}};

/// Of chats and completions.
constexpr FieldRule kStream[] = {
    {"stream", honoured, ""},
    {"stream_options.include_usage", honoured,
     "under /v1 a last chunk with the usage; elsewhere the last chunk has it always, as DeepSeek's"},
    {"return_progress", honoured,
     "in a stream: chunks without choices that have \"queue\" or, as llama.cpp's, \"prompt_progress\""},
};
constexpr FieldRule kDrawing[] = {
    {"temperature", honoured, "0 to 2; default: the model's own, see `minke show`"},
    {"top_p", honoured, "0 to 1"},
    {"top_k", honoured, "0 or -1: off"},
    {"min_p", honoured, "0 to 1"},
    {"repetition_penalty", honoured, "over 0, up to 10; also as repeat_penalty"},
    {"frequency_penalty", honoured, "-2 to 2, of the reply alone"},
    {"presence_penalty", honoured, "-2 to 2, of the reply alone"},
    {"dry_multiplier", honoured,
     "0 (off) to 100: lowers a token that would go on with what stood there before; llama.cpp's name, as the next "
     "four"},
    {"dry_base", honoured, "1 to 10; default 1.75"},
    {"dry_allowed_length", honoured, "1 to 1,000: shorter repetitions are let be; default 2"},
    {"dry_penalty_last_n", honoured, "so many last tokens are looked at, the prompt's too; -1 (the default): all"},
    {"dry_sequence_breakers", honoured,
     "up to 256 texts of at most 32 bytes, over which no repetition reaches; default: newline, :, \", *"},
    {"logit_bias", honoured, "token ids to -100 to 100; at most 1,024"},
    {"seed", honoured, "the same seed gives the same reply"},
    {"min_tokens", honoured, "before so many tokens the model's own end does not come, and no stop sequence counts"},
};
constexpr FieldRule kEnds[] = {
    {"stop", honoured,
     "a string, or up to 16, of at most 256 bytes each; looked for in what is written after thinking, calls included"},
    {"stop_token_ids", honoured, "up to 64, besides the model's own"},
    {"ignore_eos", honoured, "for measuring: the model's own end does not end the reply"},
};
constexpr FieldRule kUser[] = {
    {"user", honoured, "separates the cache: a prefix is reused for the same user alone"},
    {"user_id", honoured, "the same, DeepSeek's name"},
};
constexpr FieldRule kConstraints[] = {
    {"response_format", honoured,
     "type text, json_object or json_schema; beside tools the reply is calls or that; what of a schema cannot be "
     "enforced is refused, never ignored"},
    {"guided_json", honoured, kSchema},
    {"guided_regex", honoured, kRegex},
    {"guided_choice", honoured, kChoice},
    {"guided_grammar", honoured, kGrammar},
    {"structured_outputs", honoured, "json, regex, choice, grammar or json_object, vLLM's newer names for the same"},
    {"grammar", honoured, kGrammar},
    {"json_schema", honoured, kSchema},
};
/// Of chats and responses.
constexpr FieldRule kService[] = {
    {"service_tier", ignored, ""},
    {"prompt_cache_key", ignored, "prefixes are found without"},
    {"prompt_cache_retention", ignored, ""},
    {"safety_identifier", ignored, ""},
};

constexpr FieldRule kChatMessages[] = {
    {"messages", honoured,
     "roles system, developer (as system), user, assistant, tool; content a string, null, or parts of type text"},
    {"messages[].reasoning_content", honoured,
     "of an assistant: its thinking; the encoding decides what is kept of it"},
    {"messages[].name", ignored, "encodings have no place for it"},
    {"messages[].tool_calls", honoured, "of an assistant; rendered as they were drawn where their ids are known here"},
    {"messages[].tool_call_id", honoured, "of a tool's result; results are put in the order of the calls"},
    {"messages[].prefix", honoured,
     "on the last message, an assistant's: the reply goes on from its text, without thinking"},
    {"continue_final_message", honoured, "the same, vLLM's name"},
};
constexpr FieldRule kChatReply[] = {
    {"max_completion_tokens", honoured, "thinking included; without it a reply may fill the context"},
    {"max_tokens", honoured, "the older name"},
    {"n", honoured, "up to 16"},
    {"logprobs", honoured, "of the model's distribution, before temperature"},
    {"top_logprobs", honoured, "0 to 20, with logprobs"},
    {"thinking", honoured,
     "type enabled or disabled (adaptive, auto: the family's default); for families that can choose"},
    {"thinking.budget_tokens", honoured, "most tokens of thinking; -1: as many as there is room for"},
    {"reasoning_effort", honoured,
     "none: no thinking; minimal, low, medium: at most 512, 1,024, 4,096 tokens of it; high: three quarters of the "
     "reply, at most 32,768; xhigh, max, ultra: as many as there is room for"},
    {"chat_template_kwargs", honoured, "enable_thinking and thinking; others are ignored"},
    {"thinking_token_budget", honoured, "as thinking.budget_tokens, vLLM's name"},
};
constexpr FieldRule kChatTools[] = {
    {"tools", honoured, "up to 1,024 of type function, for families that were trained for it"},
    {"tools[].function.strict", honoured, "its arguments are as its schema says"},
    {"tool_choice", honoured,
     "none, auto, required, or a function; with the last two the reply, after its thinking, is calls"},
    {"functions", refused, "the older name: send tools"},
    {"function_call", ignored, "without functions it asks for nothing"},
    {"parallel_tool_calls", honoured, "false: one call a reply"},
};
constexpr FieldRule kChatOthers[] = {
    {"modalities", honoured, "text only"},
    {"audio", refused, "no model here speaks"},
    {"web_search_options", refused, "there is no web search"},
    {"prompt_logprobs", refused, "use /v1/completions"},
    {"chat_template", refused, "templates of requests are never run"},
    {"prediction", ignored, ""},
    {"metadata", ignored, ""},
    {"store", ignored, "nothing is stored"},
    {"verbosity", ignored, ""},
    {"stream_options.include_obfuscation", ignored, ""},
};
constexpr auto kChat = join(kModel, kChatMessages, kStream, kChatReply, kDrawing, kEnds, kUser, kConstraints,
                            kChatTools, kChatOthers, kService);

constexpr FieldRule kCompletionText[] = {
    {"prompt", honoured,
     "a string, token ids, or up to 16 of either; text is plain: control tokens' spellings stay text"},
    {"suffix", honoured, "the reply fills the gap before it, for models with markers for that (DeepSeek, Qwen-Coder)"},
    {"max_tokens", honoured, "default 16, as OpenAI's"},
    {"n", honoured, "up to 16, for each prompt"},
    {"best_of", honoured, "equal to n only: replies are not ranked"},
    {"logprobs", honoured, "0 to 20: so many of the most likely tokens beside each"},
    {"echo", honoured, "the prompt before the reply; not together with logprobs"},
    {"prompt_logprobs", refused, "the prompt's own are not given yet"},
};
constexpr auto kCompletion = join(kModel, kCompletionText, kStream, kDrawing, kEnds, kUser, kConstraints);

constexpr FieldRule kMessages[] = {
    {"model", honoured, "a loaded model's name or alias, or any that begins with claude-"},
    {"max_tokens", honoured, "required"},
    {"messages", honoured,
     "roles user, assistant, system; content a string, or blocks of type text, thinking, tool_use and tool_result; the "
     "reply goes on from a last one that is the assistant's"},
    {"system", honoured, "a string, or blocks of text; one that begins with x-anthropic-billing-header is left out"},
    {"stream", honoured, ""},
    {"stop_sequences", honoured, "up to 16, of at most 256 bytes each"},
    {"temperature", honoured, "0 to 2"},
    {"top_p", honoured, "0 to 1"},
    {"top_k", honoured, ""},
    {"thinking", honoured, "type enabled, disabled (the default) or adaptive; for families that can choose"},
    {"thinking.budget_tokens", honoured, "most tokens of thinking"},
    {"output_config.effort", honoured, "where there is no budget: as reasoning_effort of a chat"},
    {"output_config.format", honoured, "type json_schema: a schema that the answer follows"},
    {"metadata.user_id", honoured, "separates the cache"},
    {"tools", honoured, "with input_schema; those that Anthropic hosts are left out"},
    {"tool_choice", honoured, "none, auto, any, tool; with the last two the reply, after its thinking, is calls"},
    {"tools[].strict", honoured, "its input is as its schema says"},
    {"mcp_servers", refused, "the server calls no tools itself"},
    {"output_format", honoured, "the same, its older name"},
    {"container", refused, "there are no containers"},
    {"cache_control", ignored, "prefixes are found without"},
    {"service_tier", ignored, ""},
};

constexpr FieldRule kOllama[] = {
    {"model", honoured, "a loaded model's name or alias, with or without :latest"},
    {"messages", honoured,
     "of /api/chat; roles system, user, assistant, tool; the reply goes on from a last one that is the assistant's"},
    {"prompt", honoured, "of /api/generate"},
    {"system", honoured, "of /api/generate"},
    {"raw", honoured, "the prompt as it is, without the chat encoding"},
    {"stream", honoured, "true unless given"},
    {"think", honoured, "true, false, or a level as reasoning_effort of a chat"},
    {"options", honoured,
     "num_predict, stop, seed, temperature, top_p, top_k, min_p, repeat_penalty, presence_penalty, frequency_penalty, "
     "and DRY's as in a chat"},
    {"options.num_ctx", ignored, "the context is the server's"},
    {"keep_alive", honoured,
     "how long the model stays in memory when nobody uses it: seconds, or \"5m\"; negative for ever; 0 without a "
     "prompt "
     "unloads it"},
    {"tools", honoured, "of /api/chat; a call comes whole, in one line"},
    {"format", honoured, "\"json\", or a JSON Schema that the answer follows"},
    {"images", refused, "the model reads text only"},
    {"suffix", honoured, "of /api/generate: as in a completion"},
    {"template", refused, "templates of requests are never run"},
    {"context", refused, "send the messages again: their prefix is found in the cache"},
};

constexpr FieldRule kEmbeddingOwn[] = {
    {"input", honoured, "a text, token ids, or up to 2,048 of either"},
    {"pooling", honoured, "mean (the default) of the last hidden states, or last: that of the last token"},
    {"encoding_format", honoured, "float or base64; of /v1/embeddings"},
    {"dimensions", honoured, "the model's own number only: its embeddings cannot be shortened"},
    {"user", honoured, "separates the cache"},
    {"truncate", honoured, "of /api/embed, true unless given: inputs longer than the context are cut"},
    {"options", ignored, "of /api/embed"},
    {"keep_alive", honoured, "of /api/embed: as in Ollama's chats"},
};
constexpr auto kEmbedding = join(kModel, kEmbeddingOwn);

constexpr FieldRule kResponsesOwn[] = {
    {"input", honoured,
     "a string, or items: messages (roles system, developer, user, assistant; parts of type input_text, output_text) "
     "reasoning, function_call, custom_tool_call and their outputs; items of other types are ignored"},
    {"instructions", honoured, "a system message before all others"},
    {"stream", honoured, ""},
    {"max_output_tokens", honoured, "thinking included; without it a reply may fill the context"},
    {"temperature", honoured, "0 to 2; default: the model's own"},
    {"top_p", honoured, "0 to 1"},
    {"top_logprobs", honoured, "0 to 20, where include has message.output_text.logprobs"},
    {"include", honoured, "message.output_text.logprobs; others are ignored"},
    {"reasoning.effort", honoured, "as reasoning_effort of a chat"},
    {"reasoning.summary", ignored, "the thinking itself is given, as reasoning_text"},
    {"text.format", honoured, "type text, json_object or json_schema"},
    {"text.verbosity", ignored, ""},
    {"user", honoured, "separates the cache"},
    {"metadata", honoured, "given back"},
    {"store", ignored, "nothing is stored; replies say \"store\": false"},
    {"previous_response_id", refused,
     "nothing is stored: send the earlier items again, their prefix is found in the cache"},
    {"conversation", refused, "nothing is stored: send the earlier items again"},
    {"prompt", refused, "there are no stored prompts"},
    {"background", refused, "nothing runs without its client"},
    {"tools", honoured,
     "of type function; namespace: each of its tools, to the model NAMESPACE__NAME; custom: to the model a function "
     "with "
     "one string; others are left out, and \"warnings\" of the response says so"},
    {"tool_choice", honoured,
     "none, auto, required, a function or custom tool, allowed_tools; a hosted tool is left out with a warning"},
    {"parallel_tool_calls", honoured, "false: one call a reply"},
    {"max_tool_calls", ignored, ""},
    {"truncation", ignored, "a prompt that does not fit is refused"},
    {"stream_options", ignored, ""},
};
constexpr auto kResponses = join(kModel, kResponsesOwn, kService);

bool asks_for_something(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return false;
    case json::kind::bool_:
      return value.get_bool();
    case json::kind::int64:
      return value.get_int64() != 0;
    case json::kind::uint64:
      return true;
    case json::kind::double_:
      return value.get_double() != 0;
    case json::kind::string:
      return !value.get_string().empty();
    case json::kind::array:
      return !value.get_array().empty();
    case json::kind::object:
      return !value.get_object().empty();
  }
  return true;
}

}  // namespace

std::string_view to_string(Treatment treatment) {
  switch (treatment) {
    case honoured:
      return "honoured";
    case ignored:
      return "ignored";
    case refused:
      return "refused";
  }
  return "unknown";
}

std::span<const FieldRule> chat_rules() { return kChat; }
std::span<const FieldRule> completion_rules() { return kCompletion; }
std::span<const FieldRule> messages_rules() { return kMessages; }
std::span<const FieldRule> ollama_rules() { return kOllama; }
std::span<const FieldRule> embedding_rules() { return kEmbedding; }
std::span<const FieldRule> responses_rules() { return kResponses; }

void refuse_fields(const Fields& request, std::span<const FieldRule> rules) {
  for (const FieldRule& rule : rules) {
    if (rule.treatment != refused) continue;
    const json::value* value = request.find(rule.name);
    if (value != nullptr && asks_for_something(*value)) throw_unsupported(request.place(rule.name), rule.note);
  }
}

std::string markdown_of(std::span<const FieldRule> rules) {
  std::string text = "| field | | |\n|---|---|---|\n";
  for (const FieldRule& rule : rules) {
    text += base::cat("| `", rule.name, "` | ", to_string(rule.treatment), " | ", rule.note, " |\n");
  }
  return text;
}

}  // namespace minke::api
