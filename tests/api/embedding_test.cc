// Embeddings: requests, values, forms.
#include <cmath>

#include <gtest/gtest.h>

#include "api/answers.h"
#include "api/embedding_request.h"
#include "support/fake_model.h"

namespace minke::api {
namespace {

namespace json = boost::json;
using test::FakeModel;
using testing::call_of;
using testing::drain;
using testing::object_of;
using testing::text_at;

json::object embed(const FakeModel& fake, const std::string& fields, Dialect dialect = Dialect::openai) {
  const Service service(fake.model);
  const std::string body = R"({"model":"fake",)" + fields + "}";
  Answer answer = dialect == Dialect::ollama ? service.ollama_embed(call_of(body, dialect))
                                             : service.embeddings(call_of(body, dialect));
  const testing::Outcome outcome = drain(*std::get<1>(answer));
  EXPECT_EQ(outcome.state, Stream::State::done);
  return object_of(outcome.bytes);
}

std::string refused_param(const std::string& fields) {
  const FakeModel fake = test::fake_model({});
  try {
    embed(fake, fields);
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(Dialect::openai), 400) << error.message();
    return error.param();
  }
  return "accepted";
}

// The stand-in's hidden states are (last token, 50, 0).
TEST(Embeddings, HaveLengthOneAndTheirOrder) {
  const FakeModel fake = test::fake_model({});
  const json::object reply = embed(fake, R"("input":["ab","ac",[97,98,120]],"dimensions":3)");
  const json::array& data = reply.at("data").as_array();
  ASSERT_EQ(data.size(), 3u);
  const double last[] = {'b', 'c', 'x'};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(data.at(i).at("index").to_number<std::size_t>(), i);
    const json::array& values = data.at(i).at("embedding").as_array();
    ASSERT_EQ(values.size(), 3u);
    EXPECT_NEAR(values.at(0).as_double(), last[i] / std::hypot(last[i], 50), 1e-6);
    EXPECT_NEAR(values.at(1).as_double(), 50 / std::hypot(last[i], 50), 1e-6);
  }
  EXPECT_EQ(reply.at("usage").at("prompt_tokens").to_number<int>(), 7);
  EXPECT_EQ(fake.generator->requests.back().pooling, engine::Pooling::mean);
  EXPECT_EQ(fake.generator->requests.back().salt, "5:alice:");
}

TEST(Embeddings, ManyInputsAreGivenToTheEngineFewAtATime) {
  const FakeModel fake = test::fake_model({});
  std::string input = R"("input":["a")";
  for (int i = 1; i < 40; ++i) input += R"(,"a")";
  EXPECT_EQ(embed(fake, input + R"(],"pooling":"last")").at("data").as_array().size(), 40u);
  EXPECT_EQ(fake.generator->requests.size(), 40u);
  EXPECT_EQ(fake.generator->requests.back().pooling, engine::Pooling::last);
}

TEST(Embeddings, Base64IsOfFloats) {
  const FakeModel fake = test::fake_model({});
  // (0, 50, 0) of length one: 0.0f, 1.0f, 0.0f are 00000000 0000803f 00000000.
  const json::object reply = embed(fake, R"("input":[[0]],"encoding_format":"base64")");
  EXPECT_EQ(text_at(reply.at("data").at(0).as_object(), "embedding"), "AAAAAAAAgD8AAAAA");
}

TEST(Embeddings, OllamasForm) {
  const FakeModel fake = test::fake_model({});
  const json::object reply =
      embed(fake, R"("input":")" + std::string(5000, 'a') + R"(","truncate":true)", Dialect::ollama);
  EXPECT_EQ(reply.at("embeddings").at(0).as_array().size(), 3u);
  EXPECT_EQ(reply.at("prompt_eval_count").to_number<int>(), 4096);
}

TEST(Embeddings, RefusesByName) {
  EXPECT_EQ(refused_param(R"("user":"x")"), "input");
  EXPECT_EQ(refused_param(R"("input":[])"), "input");
  EXPECT_EQ(refused_param(R"("input":[""])"), "input[0]");
  EXPECT_EQ(refused_param(R"("input":["a",5])"), "input[1]");
  EXPECT_EQ(refused_param(R"("input":"a","dimensions":2)"), "dimensions");
  EXPECT_EQ(refused_param(R"("input":"a","pooling":"max")"), "pooling");
  EXPECT_EQ(refused_param(R"("input":"a","encoding_format":"int8")"), "encoding_format");
  EXPECT_EQ(refused_param(R"("input":")" + std::string(5000, 'a') + "\""), "input");
}

}  // namespace
}  // namespace minke::api
