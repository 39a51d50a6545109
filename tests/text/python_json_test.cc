#include "text/python_json.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "text/tool.h"

namespace minke::text {
namespace {

// Expected: what Python 3.11 prints for json.dumps(json.loads(text), ensure_ascii=False).
TEST(PythonJson, WritesWhatPythonWrites) {
  EXPECT_EQ(python_json(R"({"b":1,"a":[true,false,null,{}],"c":[]})"),
            R"({"b": 1, "a": [true, false, null, {}], "c": []})");
  EXPECT_EQ(python_json(" [ 1.0 , -0.5e3 , 1E5, 1e16, 1e-5, 0.0001, -0.0, -0, 123456789012345678901234567890 ] "),
            "[1.0, -500.0, 100000.0, 1e+16, 1e-05, 0.0001, -0.0, 0, 123456789012345678901234567890]");
  EXPECT_EQ(python_json(R"([0.1, 1e22, 5e-324, 1.7976931348623157e308, 1e999, -1e999, 1e-999])"),
            "[0.1, 1e+22, 5e-324, 1.7976931348623157e+308, Infinity, -Infinity, 0.0]");
  EXPECT_EQ(python_json(R"("\u00e9\ud83e\uddad\/\u0007\n\"\\\u007f")"), "\"é🦭/\\u0007\\n\\\"\\\\\x7f\"");
  EXPECT_EQ(python_json(R"({"a": {"b": [1, 2]}, "c": {}})", 4),
            "{\n    \"a\": {\n        \"b\": [\n            1,\n            2\n        ]\n    },\n    \"c\": {}\n}");
}

TEST(PythonJson, RefusesWhatIsNoJson) {
  for (const char* text :
       {"",         " ",       "{",           "[1,]",  "{\"a\"}", "{a: 1}", "01",    "1.",       "+1", "nul",
        "\"\x01\"", "\"\\x\"", "\"\\u12g4\"", "[1] 2", "'a'",     "NaN",    "\"abc", "{\"a\":}", "-",  "1e"}) {
    EXPECT_FALSE(python_json(text)) << text;
  }
  EXPECT_TRUE(python_json(std::string(64, '[') + std::string(64, ']')));
  EXPECT_FALSE(python_json(std::string(100'000, '[')));
}

TEST(PythonJson, TakesObjectsAndArraysApart) {
  const auto members = json_members(R"( {"a": {"x": "}"}, "\u0062" :[1,2] } )");
  ASSERT_TRUE(members);
  ASSERT_EQ(members->size(), 2U);
  EXPECT_EQ((*members)[0].value, R"({"x": "}"})");
  EXPECT_EQ((*members)[1].name, "b");
  EXPECT_EQ((*members)[1].value, "[1,2]");
  EXPECT_FALSE(json_members("[]"));
  EXPECT_FALSE(json_members("{} x"));
  EXPECT_EQ(json_elements("[1, \"a\"]")->size(), 2U);
  EXPECT_EQ(json_string(R"("a\"b")"), "a\"b");
  EXPECT_FALSE(json_string("1"));
}

TEST(Tool, IsReadFromItsDefinition) {
  const Tool tool = parse_tool(
      R"({"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}})", "tools[0]");
  EXPECT_EQ(tool.name, "f");
  EXPECT_EQ(tool.description, "d");
  EXPECT_EQ(tool.parameters, R"({"type": "object"})");
  EXPECT_EQ(parse_tool(R"({"name":"g","parameters":null})", "t").parameters, "{}");
  for (const char* bad : {"[]", "{}", "x", R"({"function": 1})", R"({"function": {"name": 5}})", R"({"name": ""})"}) {
    EXPECT_THROW(parse_tool(bad, "tools[0]"), base::Error) << bad;
  }
}

}  // namespace
}  // namespace minke::text
