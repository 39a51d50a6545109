#include "api/call_store.h"

#include <gtest/gtest.h>

namespace minke::api {
namespace {

using std::chrono::hours;

text::Message reply(const std::string& id, const std::string& arguments = R"({"a": 1})") {
  text::Message message{.role = text::Role::assistant, .content = "Yes.", .reasoning = "hm"};
  message.tool_calls = {{id, "f", arguments}};
  auto sampled = std::make_shared<text::SampledTurn>();
  sampled->tokens = {1, 2, 3};
  sampled->thought = true;
  message.sampled = sampled;
  return message;
}

std::vector<text::Message> sent_back(const std::string& id, const std::string& arguments = R"({"a": 1})") {
  text::Message message{.role = text::Role::assistant, .content = "Yes.", .reasoning = std::nullopt};
  message.tool_calls = {{id, "f", arguments}};
  return {message};
}

TEST(CallStore, GivesBackWhatWasDrawnAndWhatWasThought) {
  CallStore store;
  store.keep("alice", "m", reply("call_1"));
  std::vector<text::Message> messages = sent_back("call_1", R"({"a":1})");
  store.restore("alice", "m", messages);
  ASSERT_TRUE(messages[0].sampled);
  EXPECT_EQ(messages[0].sampled->tokens.size(), 3U);
  EXPECT_EQ(messages[0].reasoning, "hm");
}

TEST(CallStore, IsOneOwners) {
  CallStore store;
  store.keep("alice", "m", reply("call_1"));
  std::vector<text::Message> messages = sent_back("call_1");
  store.restore("bob", "m", messages);
  EXPECT_FALSE(messages[0].sampled);
  EXPECT_FALSE(messages[0].reasoning);
  store.restore("alice", "m", messages);
  EXPECT_TRUE(messages[0].sampled);
}

// The next turn may be another model's.
TEST(CallStore, AnotherModelGetsWhatWasThoughtAndNotTheTokens) {
  CallStore store;
  store.keep("alice", "m", reply("call_1"));
  std::vector<text::Message> messages = sent_back("call_1");
  store.restore("alice", "other", messages);
  EXPECT_EQ(messages[0].reasoning, "hm");
  EXPECT_FALSE(messages[0].sampled);
  messages = sent_back("call_1");
  store.restore("alice", "m", messages);
  EXPECT_TRUE(messages[0].sampled) << "back at the first one";
}

TEST(CallStore, AMessageThatWasChangedIsTheClients) {
  CallStore store;
  store.keep("alice", "m", reply("call_1"));
  for (const char* arguments : {R"({"a": 2})", "", "{"}) {
    std::vector<text::Message> messages = sent_back("call_1", arguments);
    store.restore("alice", "m", messages);
    EXPECT_FALSE(messages[0].sampled) << arguments;
    EXPECT_EQ(messages[0].reasoning, "hm");  // the thinking was left out all the same
  }
  std::vector<text::Message> messages = sent_back("call_1");
  messages[0].content = "No.";
  store.restore("alice", "m", messages);
  EXPECT_FALSE(messages[0].sampled);
  messages = sent_back("call_1");
  messages[0].reasoning = "another";
  store.restore("alice", "m", messages);
  EXPECT_FALSE(messages[0].sampled);
  EXPECT_EQ(messages[0].reasoning, "another");
}

TEST(CallStore, IsBoundedAndForgets) {
  CallStore store({.replies = 2, .bytes = 1U << 20, .age = hours(1)});
  const CallStore::Clock::time_point start{};
  store.keep("a", "m", reply("1"), start);
  store.keep("a", "m", reply("2"), start);
  std::vector<text::Message> messages = sent_back("1");
  store.restore("a", "m", messages, start);  // now "2" is the one that was not used for longest
  store.keep("a", "m", reply("3"), start);
  EXPECT_EQ(store.size(), 2U);
  messages = sent_back("2");
  store.restore("a", "m", messages, start);
  EXPECT_FALSE(messages[0].sampled);
  messages = sent_back("1");
  store.restore("a", "m", messages, start + hours(2));
  EXPECT_FALSE(messages[0].sampled);
  EXPECT_EQ(store.size(), 0U);
  CallStore small({.replies = 9, .bytes = 3000, .age = hours(1)});
  for (int i = 0; i < 9; ++i) small.keep("a", "m", reply(std::to_string(i)));
  EXPECT_LT(small.size(), 5U);
  text::Message none{.role = text::Role::assistant, .content = "x", .reasoning = {}};
  small.keep("b", "m", none);
  EXPECT_LT(small.size(), 5U);
}

}  // namespace
}  // namespace minke::api
