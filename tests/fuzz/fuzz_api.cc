// Requests as they come from anybody: whatever the bytes, a request is parsed or refused with an error that names why,
// an accepted one has parameters in range, and its text never gives a control token. The first byte chooses the route.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/api_error.h"
#include "api/service.h"
#include "formats/json.h"
#include "fuzz/fuzz_input.h"
#include "support/fake_model.h"

namespace {

using namespace minke;

/// Takes every request and ends it at once.
class Taker final : public api::Generator {
 public:
  engine::Reply submit(engine::Request request, std::function<void()>) override {
    const engine::SamplingParams& p = request.sampling;
    p.validate();
    if (request.tokens.empty() || request.samples == 0 || request.samples > 16) std::abort();
    if (!from_ids) {
      for (const engine::TokenId id : request.tokens) {
        if (id == test::kThink || id == test::kThinkEnd) std::abort();
      }
    }
    auto record = std::make_shared<engine::ReplyRecord>(std::move(request), 1);
    if (record->request.pooling != engine::Pooling::none) {
      record->hidden = {1, 2, 3};
      record->prompt_done = true;
    }
    for (std::size_t i = 0; i < record->request.samples; ++i) {
      record->outputs[i].end.sample = i;
      record->outputs[i].finished = true;
    }
    return engine::Reply(record, [] {});
  }
  api::GeneratorStatus status() const override { return {}; }

  bool from_ids = false;
};

struct World {
  test::FakeModel fake = test::fake_model({}, text::Encoding::chatml);
  Taker* taker = nullptr;
  World() {
    auto generator = std::make_unique<Taker>();
    taker = generator.get();
    fake.model->generator = std::move(generator);
    // Control tokens that no prompt of this family has.
    for (const char* canary : {"<think>", "</think>"}) fake.model->tokenizer->mark_control(canary);
  }
};

void check_stream(const api::Answer& answer) {
  const auto* stream = std::get_if<std::unique_ptr<api::Stream>>(&answer);
  if (stream == nullptr) return;
  std::string out;
  if ((*stream)->poll(out) != api::Stream::State::done) std::abort();
  if (!(*stream)->is_events()) formats::parse_json(out, "response");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  if (size < 1) return 0;
  const std::string_view body = fuzz::text_of(data + 1, size - 1);
  const api::Service service(world.fake.model);
  const bool messages = (data[0] & 8U) != 0;
  const api::Dialect dialect = messages              ? api::Dialect::anthropic
                               : (data[0] & 4U) != 0 ? api::Dialect::deepseek
                                                     : api::Dialect::openai;
  const api::Call call{.dialect = dialect, .body = body, .identity = {"fuzz"}, .notify = [] {}};
  world.taker->from_ids = (data[0] & 3U) == 1;
  try {
    if ((data[0] & 16U) != 0) {
      const api::Call ollama{.dialect = api::Dialect::ollama, .body = body, .identity = {"fuzz"}, .notify = [] {}};
      check_stream((data[0] & 1U) != 0 ? service.ollama_chat(ollama) : service.ollama_generate(ollama));
      return 0;
    }
    if ((data[0] & 32U) != 0) {
      check_stream((data[0] & 1U) != 0 ? service.embeddings(call) : service.responses(call));
      return 0;
    }
    switch (data[0] & 3U) {
      case 0:
        check_stream(messages ? service.messages(call) : service.chat_completions(call));
        break;
      case 1:
        check_stream(service.completions(call));
        break;
      case 2:
        service.tokenize(call);
        break;
      default:
        service.detokenize(call);
    }
  } catch (const api::ApiError& error) {
    if (error.status(dialect) < 400 || error.status(dialect) > 499) std::abort();
    formats::parse_json(error.body(dialect), "error");
  }
  return 0;
}
