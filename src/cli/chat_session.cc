#include "cli/chat_session.h"

#include <unistd.h>

#include <cstdio>
#include <optional>
#include <utility>

#include "cli/history.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/repl.h"
#include "cli/reply_printer.h"
#include "cli/sampling_choice.h"
#include "cli/text_format.h"

namespace minke::cli {
namespace {

constexpr std::size_t kHistoryEntries = 1000;

/// $XDG_STATE_HOME/minke/history, as the XDG specification has it; empty when there is no home.
std::string history_path(const Environment& environment) {
  if (environment.xdg_state_home.starts_with('/')) return environment.xdg_state_home + "/minke/history";
  return environment.home.empty() ? std::string() : environment.home + "/.local/state/minke/history";
}

class EngineBackend final : public ChatBackend {
 public:
  EngineBackend(const Environment& environment, ChatModel& model, const ChatOptions& options)
      : environment_(environment), model_(model), options_(options) {}

  ChatReply generate(std::span<const text::Message> messages, const ChatSettings& settings,
                     const ChatCallbacks& callbacks) override {
    const SamplingChoice sampling =
        choose_sampling(settings.sampling, model_.sampling_defaults(), model_.text().encoding->kind(),
                        settings.thinking, model_.text().tokenizer.get());
    const Prompt prompt = chat_prompt(model_.text(), messages, settings.thinking, options_.date);
    Progress progress("reading", environment_.stderr_terminal);
    ReplyListener listener;
    listener.cancelled = callbacks.cancelled;
    listener.prefill = [&progress](std::size_t done, std::size_t total) { progress.update(done, total); };
    listener.delta = [&](const text::ReplyDelta& delta) {
      progress.clear();
      callbacks.delta(delta);
    };
    Reply reply = model_.reply(
        prompt, {sampling.params, settings.max_tokens.value_or(0), options_.reply, options_.grammar}, listener);
    ChatReply result;
    result.thinking = std::move(reply.thinking);
    result.content = std::move(reply.content);
    result.cancelled = reply.outcome.reason == engine::FinishReason::cancelled;
    if (!options_.quiet) result.footer = footer_text(reply.outcome);
    if (reply.outcome.reason == engine::FinishReason::context) {
      result.footer += result.footer.empty() ? "" : " | ";
      result.footer += "the context is full: the reply was cut off (/clear starts anew, --ctx-size gives more room)";
    }
    return result;
  }

  bool thinks() const override { return !model_.text().encoding->think_begin().empty(); }

 private:
  const Environment& environment_;
  ChatModel& model_;
  const ChatOptions& options_;
};

}  // namespace

int run_chat(const Environment& environment, ChatModel& model, const ChatOptions& options) {
  EngineBackend backend(environment, model, options);
  // Prompts belong on the screen: on standard error where standard output goes to a file.
  LineEditor editor(stdin, environment.stdout_terminal ? stdout : stderr,
                    History(history_path(environment), kHistoryEntries));
  if (!editor.history().problem().empty()) warn(editor.history().problem());
  Output out(STDOUT_FILENO, "standard output");
  std::optional<ReplyPrinter> printer;
  ReplScreen screen;
  screen.delta = [&](const text::ReplyDelta& delta) {
    if (!printer) printer.emplace(environment, options.hide_thinking, out);
    printer->print(delta);
  };
  screen.end_reply = [&] {
    if (printer) printer->finish();
    printer.reset();
  };
  screen.note = [](std::string_view text) { note(text); };
  run_repl(backend, editor, screen, {options.settings, options.system, environment.home});
  return 0;
}

}  // namespace minke::cli
