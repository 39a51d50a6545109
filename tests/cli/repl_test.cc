#include "cli/repl.h"

#include <csignal>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/error.h"
#include "cli/interrupt.h"
#include "cli/repl_command.h"
#include "cli/repl_file.h"
#include "support/temp_folder.h"

namespace minke::cli {
namespace {

using text::Role;

class Script final : public LineInput {
 public:
  explicit Script(std::vector<Result> results) : results_(results.begin(), results.end()) {}
  Result read(std::string_view prompt) override {
    prompts.emplace_back(prompt);
    if (results_.empty()) return {Status::end, {}};
    Result result = std::move(results_.front());
    results_.pop_front();
    return result;
  }
  std::vector<std::string> prompts;

 private:
  std::deque<Result> results_;
};

const LineInput::Result kCtrlC = {LineInput::Status::interrupted, {}};
LineInput::Result line(std::string text) { return {LineInput::Status::line, std::move(text)}; }

// Answers "re: <last message>", and remembers what it was asked.
class FakeBackend final : public ChatBackend {
 public:
  struct Call {
    std::vector<text::Message> messages;
    ChatSettings settings;
  };

  ChatReply generate(std::span<const text::Message> messages, const ChatSettings& settings,
                     const ChatCallbacks& callbacks) override {
    calls.push_back({{messages.begin(), messages.end()}, settings});
    if (fail) throw base::Error(base::ErrorCode::context_overflow, "too long", "shorten it");
    ChatReply reply;
    if (press_ctrl_c) std::raise(SIGINT);
    if (callbacks.cancelled()) {
      reply.cancelled = true;
      reply.content = partial;
      callbacks.delta({"", partial});
      return reply;
    }
    if (can_think) reply.thinking = "hm";
    reply.content = "re: " + messages.back().content + (calls.size() > 1 ? " #" + std::to_string(calls.size()) : "");
    callbacks.delta({reply.thinking, reply.content});
    reply.footer = "fast";
    return reply;
  }
  bool thinks() const override { return can_think; }

  bool can_think = true, fail = false, press_ctrl_c = false;
  std::string partial;
  std::vector<Call> calls;
};

struct Shown {
  std::string notes, thinking, content;
  int replies = 0;
};

Shown run(FakeBackend& backend, Script& script, const ReplOptions& options = {}) {
  Shown result;
  const ReplScreen screen = {[&result](const text::ReplyDelta& delta) {
                               result.thinking += delta.thinking;
                               result.content += delta.content;
                             },
                             [&result] { ++result.replies; },
                             [&result](std::string_view note) { result.notes += note; }};
  run_repl(backend, script, screen, options);
  return result;
}

Shown run(FakeBackend& backend, std::vector<LineInput::Result> lines, const ReplOptions& options = {}) {
  Script script(std::move(lines));
  return run(backend, script, options);
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST(Repl, KeepsTheConversation) {
  FakeBackend backend;
  const Shown result =
      run(backend, {line("Hi"), line("  "), line("More")}, {.settings = {}, .system = "Be brief.", .home = {}});
  ASSERT_EQ(backend.calls.size(), 2U);
  const auto& messages = backend.calls[1].messages;
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0].role, Role::system);
  EXPECT_EQ(messages[0].content, "Be brief.");
  EXPECT_EQ(messages[1].content, "Hi");
  EXPECT_EQ(messages[2].role, Role::assistant);
  EXPECT_EQ(messages[2].content, "re: Hi");
  EXPECT_EQ(messages[2].reasoning, "hm");
  EXPECT_EQ(messages[3].content, "More");
  EXPECT_EQ(result.content, "re: Hire: More #2");
  EXPECT_EQ(result.replies, 2);
  EXPECT_EQ(result.notes, "fast\nfast\n");
}

TEST(Repl, LeavesAtTheEndAndAtBye) {
  for (const char* word : {"/bye", "/exit", "/quit", "/bye  "}) {
    FakeBackend backend;
    run(backend, {line(word), line("never")});
    EXPECT_TRUE(backend.calls.empty()) << word;
  }
  FakeBackend backend;
  EXPECT_EQ(run(backend, {}).notes, "");
}

TEST(Repl, ASecondCtrlCLeaves) {
  FakeBackend backend;
  const Shown result = run(backend, {kCtrlC, line("Hi"), kCtrlC, kCtrlC, line("never")});
  EXPECT_EQ(backend.calls.size(), 1U);
  EXPECT_TRUE(has(result.notes, "Ctrl-D"));
}

TEST(Repl, CtrlCStopsTheReplyAndKeepsItsBeginning) {
  install_signal_handlers();
  FakeBackend backend;
  backend.press_ctrl_c = true;
  backend.partial = "half";
  const Shown result = run(backend, {line("Hi"), line("go on")});
  ASSERT_EQ(backend.calls.size(), 2U);
  ASSERT_EQ(backend.calls[1].messages.size(), 3U);
  EXPECT_EQ(backend.calls[1].messages[1].content, "half");
  EXPECT_TRUE(has(result.notes, "stopped"));
}

TEST(Repl, CtrlCBeforeTheFirstWordKeepsNothingAndASecondOneLeaves) {
  install_signal_handlers();
  FakeBackend backend;
  backend.press_ctrl_c = true;
  const Shown result = run(backend, {line("Hi"), line("again"), kCtrlC, line("never")});
  ASSERT_EQ(backend.calls.size(), 2U);
  EXPECT_EQ(backend.calls[1].messages.size(), 1U);
  EXPECT_TRUE(has(result.notes, "nothing was kept"));
}

TEST(Repl, ErrorsAreShownAndTheMessageTakenBack) {
  FakeBackend backend;
  backend.fail = true;
  const Shown result = run(backend, {line("long"), line("longer")});
  ASSERT_EQ(backend.calls.size(), 2U);
  EXPECT_EQ(backend.calls[1].messages.size(), 1U);
  EXPECT_TRUE(has(result.notes, "too long"));
  EXPECT_TRUE(has(result.notes, "shorten it"));
  EXPECT_EQ(result.replies, 2);
}

TEST(Repl, SeveralLines) {
  const auto first_message = [](std::vector<LineInput::Result> lines) {
    FakeBackend backend;
    run(backend, std::move(lines));
    return backend.calls.empty() ? std::string("nothing") : backend.calls[0].messages.back().content;
  };
  EXPECT_EQ(first_message({line("\"\"\""), line("a"), line(""), line("  b"), line("\"\"\"")}), "a\n\n  b");
  EXPECT_EQ(first_message({line("\"\"\"a"), line("b\"\"\"  ")}), "a\nb");
  EXPECT_EQ(first_message({line("\"\"\"one line\"\"\"")}), "one line");
  EXPECT_EQ(first_message({line("\"\"\""), line("/bye"), line("\"\"\"")}), "/bye");
  EXPECT_EQ(first_message({line("\"\"\""), line("\"\"\""), line("b")}), "b");
  EXPECT_EQ(first_message({line("\"\"\"a"), kCtrlC, line("b")}), "b");
  EXPECT_EQ(first_message({line("\"\"\"a")}), "nothing");
  EXPECT_EQ(first_message({line("he said \"\"\"x\"\"\"")}), "he said \"\"\"x\"\"\"");
}

TEST(Repl, ContinuationPromptInsideQuotes) {
  Script script({line("\"\"\"a"), line("b"), line("\"\"\"")});
  FakeBackend backend;
  run(backend, script);
  EXPECT_EQ(script.prompts, (std::vector<std::string>{">>> ", "... ", "... ", ">>> "}));
}

TEST(Repl, PathsAndOtherSlashesAreMessages) {
  EXPECT_TRUE(looks_like_command("/help me"));
  EXPECT_TRUE(looks_like_command("/?"));
  for (const char* text : {"/usr/bin is what?", "/", "/ 2", " /bye", "1/2", "/2", "//"}) {
    EXPECT_FALSE(looks_like_command(text)) << text;
  }
  FakeBackend backend;
  const Shown result = run(backend, {line("/usr/bin/env?"), line("/nosuch x")});
  EXPECT_EQ(backend.calls.size(), 1U);
  EXPECT_TRUE(has(result.notes, "no command /nosuch"));
}

TEST(Repl, SystemPrompt) {
  FakeBackend backend;
  const Shown result =
      run(backend, {line("/system"), line("/system  Speak Latin. "), line("Hi"), line("/system \"\"\""), line("Line 1"),
                    line("Line 2\"\"\""), line("Hi"), line("/system"), line("/system none"), line("Hi")});
  ASSERT_EQ(backend.calls.size(), 3U);
  EXPECT_EQ(backend.calls[0].messages[0].content, "Speak Latin.");
  EXPECT_EQ(backend.calls[1].messages[0].content, "Line 1\nLine 2");
  EXPECT_EQ(backend.calls[1].messages.size(), 4U);
  EXPECT_EQ(backend.calls[2].messages[0].role, Role::user);
  EXPECT_TRUE(has(result.notes, "there is no system prompt"));
  EXPECT_TRUE(has(result.notes, "Line 1\nLine 2\n"));
}

TEST(Repl, ClearKeepsTheSystemPrompt) {
  FakeBackend backend;
  run(backend, {line("/system S"), line("a"), line("/clear"), line("b")});
  ASSERT_EQ(backend.calls.size(), 2U);
  EXPECT_EQ(backend.calls[1].messages.size(), 2U);
  EXPECT_EQ(backend.calls[1].messages[0].role, Role::system);
}

TEST(Repl, Regenerate) {
  FakeBackend backend;
  const Shown result = run(backend, {line("/regen"), line("Hi"), line("/regen"), line("Next")});
  EXPECT_TRUE(has(result.notes, "no message to answer"));
  ASSERT_EQ(backend.calls.size(), 3U);
  EXPECT_EQ(backend.calls[1].messages.size(), 1U);
  ASSERT_EQ(backend.calls[2].messages.size(), 3U);
  EXPECT_EQ(backend.calls[2].messages[1].content, "re: Hi #2");
}

TEST(Repl, Settings) {
  FakeBackend backend;
  const Shown result = run(
      backend, {line("/set temp 0.5"), line("/set top_p 0.9"), line("/set top-k=40"), line("/set min_p 0.05"),
                line("/set parameter repeat_penalty 1.1"), line("/set seed 18446744073709551615"),
                line("/set max_tokens 64"), line("/set"), line("Hi"), line("/set temperature default"), line("Hi")});
  ASSERT_EQ(backend.calls.size(), 2U);
  const ChatSettings& settings = backend.calls[0].settings;
  EXPECT_EQ(settings.sampling.temperature, 0.5);
  EXPECT_EQ(settings.sampling.top_p, 0.9);
  EXPECT_EQ(settings.sampling.top_k, 40);
  EXPECT_EQ(settings.sampling.min_p, 0.05);
  EXPECT_EQ(settings.sampling.repeat_penalty, 1.1);
  EXPECT_EQ(settings.sampling.seed, 18446744073709551615U);
  EXPECT_EQ(settings.max_tokens, 64U);
  EXPECT_FALSE(backend.calls[1].settings.sampling.temperature);
  for (const char* name : {"temp", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "max_tokens"}) {
    EXPECT_TRUE(has(result.notes, base::cat("  ", name, " "))) << name;
  }
}

TEST(Repl, BadSettingsChangeNothing) {
  for (const char* bad : {"temp",
                          "temp x",
                          "temp -1",
                          "temp nan",
                          "temp inf",
                          "temp 0.5x",
                          "temp 101",
                          "top_p 0",
                          "top_p 1.5",
                          "top_k -1",
                          "top_k 2.5",
                          "min_p 2",
                          "repeat_penalty 0",
                          "repeat_penalty 11",
                          "seed -1",
                          "seed 18446744073709551616",
                          "max_tokens 0",
                          "max_tokens -5",
                          "colour red",
                          "=",
                          "temp 1 2"}) {
    ChatSettings settings;
    try {
      change_setting(settings, bad);
      ADD_FAILURE() << bad;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::invalid_argument) << bad;
    }
    EXPECT_EQ(settings_text(settings), settings_text({})) << bad;
  }
}

TEST(Repl, Think) {
  FakeBackend backend;
  run(backend, {line("/think off"), line("a"), line("/think on"), line("b"), line("/think auto"), line("c"),
                line("/set nothink"), line("d"), line("/think maybe"), line("e")});
  ASSERT_EQ(backend.calls.size(), 5U);
  EXPECT_EQ(backend.calls[0].settings.thinking, text::Thinking::off);
  EXPECT_EQ(backend.calls[1].settings.thinking, text::Thinking::on);
  EXPECT_EQ(backend.calls[2].settings.thinking, text::Thinking::automatic);
  EXPECT_EQ(backend.calls[3].settings.thinking, text::Thinking::off);
  EXPECT_EQ(backend.calls[4].settings.thinking, text::Thinking::off);
  FakeBackend plain;
  plain.can_think = false;
  EXPECT_TRUE(has(run(plain, {line("/think on")}).notes, "no thinking"));
}

TEST(Repl, SaveAndLoadGiveTheSameConversation) {
  const test::TempFolder folder;
  const std::string path = folder.file("chat.json");
  FakeBackend backend;
  run(backend, {line("/system Sé breve."), line("你好 \"<think>\"\\n"), line("/save " + path)});
  const auto saved = load_conversation(path);
  ASSERT_EQ(saved.size(), 3U);
  EXPECT_EQ(saved[1].content, "你好 \"<think>\"\\n");
  EXPECT_EQ(saved[2].reasoning, "hm");
  FakeBackend later;
  run(later, {line("old"), line("/load " + path), line("Next"), line("/save " + path)});
  ASSERT_EQ(later.calls.size(), 2U);
  ASSERT_EQ(later.calls[1].messages.size(), 4U);
  EXPECT_EQ(later.calls[1].messages[0].content, "Sé breve.");
  EXPECT_EQ(load_conversation(path).size(), 5U);
}

TEST(Repl, SaveNeverReplacesAnotherKindOfFile) {
  const test::TempFolder folder;
  const std::string path = folder.file("notes.txt");
  std::ofstream(path) << "precious";
  FakeBackend backend;
  const Shown result = run(backend, {line("/save"), line("/save " + path), line("Hi"), line("/save " + path)});
  EXPECT_EQ(read_file(path), "precious");
  EXPECT_TRUE(has(result.notes, "expected a file name"));
  EXPECT_TRUE(has(result.notes, "no conversation yet"));
  EXPECT_TRUE(has(result.notes, "is not replaced"));
  EXPECT_TRUE(has(run(backend, {line("Hi"), line("/save " + folder.file("no/such/folder"))}).notes, "error: "));
}

TEST(Repl, LoadChecksAndKeepsTheOldConversationOnError) {
  const test::TempFolder folder;
  for (const char* text : {"", "{}", "[]", "[1]", "[{\"role\":\"user\"}]", "[{\"role\":\"robot\",\"content\":\"x\"}]",
                           "[{\"role\":\"user\",\"content\":1}]", "[{\"role\":\"user\",\"content\":\"x\"}"}) {
    const std::string path = folder.file("bad.json");
    std::ofstream(path, std::ios::trunc) << text;
    FakeBackend backend;
    const Shown result = run(backend, {line("Hi"), line("/load " + path), line("Next")});
    EXPECT_TRUE(has(result.notes, "error: ")) << text;
    ASSERT_EQ(backend.calls.size(), 2U);
    EXPECT_EQ(backend.calls[1].messages.size(), 3U) << text;
  }
  FakeBackend backend;
  EXPECT_TRUE(has(run(backend, {line("/load " + folder.file("absent"))}).notes, "error: "));
}

TEST(Repl, HomeFolder) {
  EXPECT_EQ(expand_home("~/a", "/home/x"), "/home/x/a");
  EXPECT_EQ(expand_home("~", "/home/x"), "/home/x");
  EXPECT_EQ(expand_home("~user/a", "/home/x"), "~user/a");
  EXPECT_EQ(expand_home("a/~", "/home/x"), "a/~");
  EXPECT_EQ(expand_home("~/a", ""), "~/a");
}

TEST(Repl, HelpNamesEveryCommand) {
  FakeBackend backend;
  const Shown result = run(backend, {line("/help")});
  for (const char* name :
       {"/set", "/system", "/clear", "/save", "/load", "/regen", "/think", "/bye", "\"\"\"", "Ctrl-C"}) {
    EXPECT_TRUE(has(result.notes, name)) << name;
  }
}

}  // namespace
}  // namespace minke::cli
