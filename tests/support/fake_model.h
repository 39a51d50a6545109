// A model without weights for tests of the layers above the engine: a tokenizer of bytes, and replies that a test
// scripts on a thread of its own, through the same records as the engine's.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "api/model.h"
#include "base/cat.h"
#include "base/error.h"
#include "engine/reply_control.h"
#include "engine/token_bytes.h"
#include "text/tokenizer_fixture.h"

namespace minke::test {

/// Ids of the control tokens; ids below 256 are bytes.
inline constexpr engine::TokenId kImStart = 256, kImEnd = 257, kThink = 258, kThinkEnd = 259;
inline constexpr engine::TokenId kFillBefore = 260, kFillAfter = 261, kFillMiddle = 262;

inline std::unique_ptr<text::Tokenizer> fake_tokenizer() {
  auto document = text::testing::plain_document();
  text::testing::add_token(document, kImStart, "<|im_start|>", {.special = true});
  text::testing::add_token(document, kImEnd, "<|im_end|>", {.special = true});
  text::testing::add_token(document, kThink, "<think>");
  text::testing::add_token(document, kThinkEnd, "</think>");
  text::testing::add_token(document, kFillBefore, "<|fim_prefix|>");
  text::testing::add_token(document, kFillAfter, "<|fim_suffix|>");
  text::testing::add_token(document, kFillMiddle, "<|fim_middle|>");
  auto tokenizer = text::testing::load(document);
  api::mark_fill_markers(*tokenizer);
  return tokenizer;
}

/// What a fake reply does.
struct Script {
  std::string text;                     ///< a token each byte
  std::vector<engine::TokenId> tokens;  ///< instead of `text`, when given
  std::chrono::microseconds step{0};    ///< between two tokens
  std::chrono::milliseconds queue{0};   ///< it waits so long first, told as position 3 and 12 seconds
  std::size_t cached = 0;
  engine::FinishReason reason = engine::FinishReason::stop;
  std::string error;     ///< not empty: it ends with this instead, after its tokens
  bool endless = false;  ///< after its tokens it says nothing until it is cancelled
};

/// Each request gets a thread, which follows the script.
class FakeGenerator final : public api::Generator {
 public:
  /// `bytes`: of its tokens, for stop strings.
  FakeGenerator(Script script, std::shared_ptr<const engine::TokenBytes> bytes)
      : script_(std::move(script)), bytes_(std::move(bytes)) {}
  ~FakeGenerator() override {
    stopping_ = true;
    for (auto& thread : threads_) thread.join();
  }
  FakeGenerator(const FakeGenerator&) = delete;
  FakeGenerator& operator=(const FakeGenerator&) = delete;

  engine::Reply submit(engine::Request request, std::function<void()> notify) override {
    const std::lock_guard lock(mutex_);
    if (refuse) throw base::Error(base::ErrorCode::overloaded, "256 requests wait already", "try again later");
    if (request.tokens.size() > context) {
      throw base::Error(base::ErrorCode::context_overflow, base::cat("the prompt has ", request.tokens.size(),
                                                                     " tokens, but the context holds ", context));
    }
    requests.push_back(request);
    const std::vector<engine::TokenId> tokens = tokens_of(script_);
    engine::ControlPlan plan(request, bytes_, bytes_->size());
    auto record = std::make_shared<engine::ReplyRecord>(std::move(request), tokens.size() + 1, std::move(plan));
    record->notify = std::move(notify);
    record->queue_position = script_.queue.count() > 0 ? 3 : 0;
    record->estimated_wait = 12;
    threads_.emplace_back([this, record, tokens] { play(*record, tokens); });
    return engine::Reply(record, [] {});
  }

  api::GeneratorStatus status() const override { return {.steps = 7, .last_step_age = 0.5, .running = 1}; }

  std::size_t cancelled() const { return cancelled_.load(); }

  std::atomic<bool> refuse{false};
  std::size_t context = 4096;
  std::vector<engine::Request> requests;  // read when nothing is being submitted

 private:
  static std::vector<engine::TokenId> tokens_of(const Script& script) {
    if (!script.tokens.empty()) return script.tokens;
    std::vector<engine::TokenId> tokens;
    for (const char c : script.text) tokens.push_back(static_cast<unsigned char>(c));
    return tokens;
  }

  bool stopped(const engine::ReplyRecord& record) const { return record.cancelled || stopping_; }

  void wait(const engine::ReplyRecord& record, std::chrono::microseconds time) const {
    const auto until = std::chrono::steady_clock::now() + time;
    while (!stopped(record) && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::min(time, std::chrono::microseconds(500)));
    }
  }

  static void tell(engine::ReplyRecord& record) {
    record.signal.raise();
    if (record.notify) record.notify();
  }

  void play(engine::ReplyRecord& record, const std::vector<engine::TokenId>& tokens) {
    if (script_.queue.count() > 0) {
      tell(record);
      wait(record, script_.queue);
      record.queue_position = 0;
    }
    record.cached = script_.cached;
    record.prefill_done = record.request.tokens.size();
    tell(record);
    if (record.request.pooling != engine::Pooling::none) {
      // The last token's id beside a constant, so that inputs differ.
      record.hidden = {static_cast<float>(record.request.tokens.back()), 50, 0};
      record.prompt_done = true;
    }
    const std::size_t most = record.request.pooling != engine::Pooling::none ? 0
                             : record.request.max_tokens == 0                ? tokens.size()
                                                                             : record.request.max_tokens;
    // What holds tokens back, and ends the reply at a stop string, is the engine's own.
    engine::ReplyControl control(record.request, record.control, most, bytes_->size());
    std::vector<engine::TokenId> row = record.request.tokens;
    std::size_t drawn = 0;
    while (drawn < tokens.size() && drawn < most && !control.stop() && !stopped(record)) {
      wait(record, script_.step);
      row.push_back(tokens[drawn]);
      control.took(row, record.request.tokens.size());
      draw(record, drawn++, row.back(), control.reportable());
      tell(record);
    }
    const bool found = control.stop().has_value();
    while (script_.endless && !found && !stopped(record)) wait(record, std::chrono::milliseconds(1));
    const bool cut = !found && stopped(record);
    if (cut) ++cancelled_;
    const bool full =
        !found && drawn == most && most < tokens.size() && record.request.pooling == engine::Pooling::none;
    for (std::size_t i = 0; i < record.request.samples; ++i) {
      engine::Finished& end = record.outputs[i].end;
      end.sample = i;
      end.reason = cut ? engine::FinishReason::cancelled : full ? engine::FinishReason::length : script_.reason;
      if (!cut && !script_.error.empty()) {
        end.reason = engine::FinishReason::error;
        end.error = base::Error(base::ErrorCode::numeric, script_.error);
      }
      if (found) {
        end.stop_string = control.stop()->index;
        end.tail = control.stop()->tail;
      } else if (!cut) {
        record.outputs[i].count = drawn;
      }
      end.usage = {.prompt_tokens = record.request.tokens.size(),
                   .cached_tokens = script_.cached,
                   .output_tokens = drawn + (full || found ? 0U : 1U)};
      end.timings = {.queue_seconds = 0.25, .prefill_seconds = 0.5, .decode_seconds = 1};
      record.outputs[i].finished = true;
    }
    tell(record);
  }

  /// Sample i's every token is as likely as e^-i; the most likely ones are it, then the ids from 65.
  static void draw(engine::ReplyRecord& record, std::size_t at, engine::TokenId token, std::size_t reportable) {
    for (std::size_t i = 0; i < record.request.samples; ++i) {
      engine::ReplyRecord::Output& output = record.outputs[i];
      output.tokens[at] = token;
      if (record.request.logprobs) {
        const std::size_t top = *record.request.logprobs;
        output.logprobs[at] = -static_cast<float>(i) - 0.5F;
        for (std::size_t k = 0; k < top; ++k) {
          output.top[at * top + k] = {.token = k == 0 ? token : static_cast<engine::TokenId>(64 + k),
                                      .logprob = -0.5F - static_cast<float>(k)};
        }
      }
      output.count = reportable;
    }
  }

  Script script_;
  std::shared_ptr<const engine::TokenBytes> bytes_;
  std::mutex mutex_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> cancelled_{0};
  std::vector<std::thread> threads_;
};

struct FakeModel {
  std::shared_ptr<api::Model> model;
  FakeGenerator* generator = nullptr;
};

/// "fake", also "other-name"; ChatML, or Qwen3's encoding, which thinks.
inline FakeModel fake_model(Script script, text::Encoding encoding = text::Encoding::chatml) {
  FakeModel fake;
  fake.model = std::make_shared<api::Model>();
  fake.model->name = "fake";
  fake.model->aliases = {"other-name"};
  fake.model->fingerprint = "fp_test";
  fake.model->created = 1700000000;
  fake.model->context = 4096;
  fake.model->description = "a stand-in";
  fake.model->architecture = "llama";
  fake.model->hidden_size = 3;
  fake.model->tokenizer = fake_tokenizer();
  fake.model->encoding = text::ChatEncoding::create(encoding);
  fake.model->encoding->mark_control(*fake.model->tokenizer);
  fake.model->stop_tokens = {kImEnd};
  const text::Tokenizer& tokenizer = *fake.model->tokenizer;
  auto bytes = std::make_shared<engine::TokenBytes>(tokenizer.vocab_size(), [&tokenizer](engine::TokenId id) {
    return engine::TokenBytes::Entry{.bytes = tokenizer.piece(id), .control = tokenizer.is_control(id)};
  });
  auto generator = std::make_unique<FakeGenerator>(std::move(script), std::move(bytes));
  fake.generator = generator.get();
  fake.model->generator = std::move(generator);
  return fake;
}

}  // namespace minke::test
