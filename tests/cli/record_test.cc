#include "cli/record.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <limits>

namespace minke::cli {
namespace {

Record sample(const std::string& name, double rate) {
  Record record;
  record.add("name", name);
  record.add("count", std::int64_t{-7});
  record.add("rate", rate);
  record.add("on", true);
  record.add("samples", std::vector<double>{1.5, 2});
  return record;
}

std::string printed(RecordFormat format, const std::vector<Record>& records) {
  std::string text;
  const std::vector<TableColumn> columns = {
      {"name", 6, false, [](const Record& r) { return r.text("name"); }},
      {"count", 3, true, [](const Record& r) { return std::to_string(r.integer("count")); }}};
  RecordPrinter printer(format, columns, [&text](std::string_view piece) { text += piece; });
  for (const Record& record : records) printer.print(record);
  printer.finish();
  return text;
}

TEST(Record, Json) {
  const std::string text = printed(RecordFormat::json, {sample("a\"b\n", 18.25), sample("\xff", 1e300)});
  const boost::json::array array = boost::json::parse(text).as_array();
  ASSERT_EQ(array.size(), 2U);
  const boost::json::object& first = array[0].as_object();
  EXPECT_EQ(first.at("name").as_string(), "a\"b\n");
  EXPECT_EQ(first.at("count").as_int64(), -7);
  EXPECT_EQ(first.at("rate").to_number<double>(), 18.25);
  EXPECT_TRUE(first.at("on").as_bool());
  EXPECT_EQ(first.at("samples").as_array().size(), 2U);
  EXPECT_EQ(boost::json::parse(printed(RecordFormat::json, {})).as_array().size(), 0U);
  const std::string nothing = record_json(sample("", std::numeric_limits<double>::quiet_NaN()));
  EXPECT_TRUE(boost::json::parse(nothing).as_object().at("rate").is_null());
}

TEST(Record, JsonLines) {
  const std::string text = printed(RecordFormat::jsonl, {sample("a", 1), sample("b", 2)});
  const std::size_t end = text.find('\n');
  EXPECT_EQ(boost::json::parse(text.substr(0, end)).as_object().at("name").as_string(), "a");
  EXPECT_EQ(boost::json::parse(text.substr(end + 1)).as_object().at("name").as_string(), "b");
}

TEST(Record, CsvQuotesAndLeavesListsOut) {
  EXPECT_EQ(printed(RecordFormat::csv, {sample("a\"b,c", 0.5)}),
            "name,count,rate,on\n\"a\"\"b,c\",\"-7\",\"0.5\",\"true\"\n");
}

TEST(Record, Table) {
  EXPECT_EQ(printed(RecordFormat::md, {sample("a", 1), sample("\x1b[31mlonger", 1)}),
            "| name   | count |\n| ------ | ----: |\n| a      |    -7 |\n| [31mlonger |    -7 |\n");
}

TEST(Record, AKeyThatIsNotThere) { EXPECT_THROW(sample("a", 1).at("b"), std::out_of_range); }

}  // namespace
}  // namespace minke::cli
