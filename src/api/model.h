// The model as the protocols see it: names, its text on both sides, and what computes replies.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/call_store.h"
#include "api/tool_request.h"
#include "constrain/compiler.h"
#include "engine/reply.h"
#include "engine/request.h"
#include "engine/sampling.h"
#include "engine/thinking.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace minke::api {

/// How the engine is doing, for /health and /metrics.
struct GeneratorStatus {
  std::uint64_t steps = 0;
  double last_step_age = 0;  ///< seconds
  bool stuck = false;        ///< the present step takes much longer than any should
  std::size_t running = 0, waiting = 0;
  std::size_t cache_blocks = 0, free_blocks = 0, cached_blocks = 0;  ///< of 64 tokens
  std::uint64_t cache_hits = 0, evictions = 0, preemptions = 0;
  std::uint64_t drafted = 0, accepted = 0;                          ///< tokens
  std::uint64_t disk_read = 0, disk_written = 0, disk_refused = 0;  ///< blocks
  std::uint64_t disk_bytes = 0;
};

/// What computes: the engine, or a test's stand-in. Any thread may call.
class Generator {
 public:
  virtual ~Generator() = default;
  /// As engine::Engine::submit. Throws base::Error.
  virtual engine::Reply submit(engine::Request request, std::function<void()> notify) = 0;
  virtual GeneratorStatus status() const = 0;
};

/// How calls are read out of a reply, and what becomes of them.
struct ToolSetup {
  std::shared_ptr<const std::vector<text::Tool>> tools;
  bool report = true;    ///< else a call is content, as JSON
  bool parallel = true;  ///< else the second call ends the reply
  std::string id_prefix = "call_";
  /// What the prompt ends with and the reply begins with: a call that must be.
  std::vector<text::PromptPiece> begun;
  std::vector<engine::TokenId> begun_tokens;
  std::vector<text::PromptPiece> opening;  ///< text::RenderedPrompt::opening
  /// Where a reply with calls is kept, whose it is and what draws it; null: nowhere.
  std::shared_ptr<CallStore> store;
  std::string owner, drawn_by;
};

/// What goes into the model, and how its reply is to be read.
struct Prompt {
  std::vector<engine::TokenId> tokens;
  bool starts_in_thinking = false;
  bool chat = false;       ///< the reply is parsed into thinking and content
  bool continues = false;  ///< it goes on within a content that the prompt began: nothing of it is thinking
  /// Ends the reply besides what always does.
  std::vector<engine::TokenId> stop_tokens;
  std::shared_ptr<ToolSetup> tools;  ///< null: calls are not looked for
  engine::ThinkingOptions thinking;  ///< the family's markers, and whether the prompt has opened it
};

/// What a chat's prompt is made of.
struct Conversation {
  std::span<const text::Message> messages;
  text::Thinking thinking = text::Thinking::automatic;  ///< automatic: as the server was told
  /// The last message is the beginning of the reply: of its content, or of its thinking if it has only that.
  bool continue_last = false;
  const ToolRequest* tools = nullptr;  ///< what is offered; null: nothing
};

struct Model {
  std::string name;                  ///< as it was named to `minke serve`
  std::vector<std::string> aliases;  ///< other names that mean it
  std::string fingerprint;           ///< "system_fingerprint": what decides a reply's bits besides the request
  std::int64_t created = 0;          ///< when it was loaded: seconds since 1970
  std::size_t context = 0;           ///< most tokens of prompt and reply together
  std::string architecture;          ///< "qwen2"
  std::size_t hidden_size = 0;       ///< values of an embedding
  std::uint64_t bytes = 0;           ///< of its weights
  std::string description;           ///< for people: architecture, arithmetic, memory
  /// For text::RenderOptions; asked for each prompt, as days pass. May be empty.
  std::function<std::string()> date;
  text::Thinking thinking = text::Thinking::automatic;  ///< where a request says nothing

  std::unique_ptr<text::Tokenizer> tokenizer;
  std::unique_ptr<text::ChatEncoding> encoding;  ///< null: a base model, without chats
  std::vector<engine::TokenId> stop_tokens;
  /// By text::Thinking, for families whose makers advise other values when they think.
  std::array<engine::SamplingParams, 3> sampling;
  std::unique_ptr<constrain::Compiler> grammars;  ///< null: replies cannot be constrained
  std::unique_ptr<Generator> generator;

  const engine::SamplingParams& defaults(text::Thinking asked) const {
    return sampling[static_cast<std::size_t>(asked == text::Thinking::automatic ? thinking : asked)];
  }

  /// Messages through the encoding; text in them never becomes a control token. Throws ApiError: unsupported without
  /// an encoding, invalid where the encoding refuses.
  Prompt chat_prompt(const Conversation& chat) const;
  /// Plain text, with BOS where the model itself adds it.
  Prompt text_prompt(std::string_view given) const;
  /// What stands between `before` and `after` is to be written, with the markers that the model was trained on. Throws
  /// ApiError(unsupported) when its vocabulary has none.
  Prompt fill_prompt(std::string_view before, std::string_view after) const;
};

/// How the engine tells thinking from the answer, and ends it when it is too long. `open`: the prompt has opened it.
/// Nothing to control where the family does not think, or its markers are no tokens of their own.
engine::ThinkingOptions thinking_options(const text::ChatEncoding& encoding, const text::Tokenizer& tokenizer,
                                         bool open);

/// Declares the markers of filling in the middle to be control, where the file marks them as plain: a text that quotes
/// one stays text, and one that the model writes is none.
void mark_fill_markers(text::Tokenizer& tokenizer);

/// Names that mean whatever is loaded, as DeepSeek's clients have them built in.
bool is_deepseek_name(std::string_view name);

}  // namespace minke::api
