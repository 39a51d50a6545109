// Results as lines of named values, printed as a Markdown table, JSON, JSON lines or CSV.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace minke::cli {

using RecordValue =
    std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>>;

/// Keys in the order in which they are printed.
struct Record {
  std::vector<std::pair<std::string, RecordValue>> fields;

  void add(std::string key, RecordValue value) { fields.emplace_back(std::move(key), std::move(value)); }
  /// Throws std::out_of_range when there is none: a key that the program itself misspelt.
  const RecordValue& at(std::string_view key) const;
  std::int64_t integer(std::string_view key) const { return std::get<std::int64_t>(at(key)); }
  double number(std::string_view key) const { return std::get<double>(at(key)); }
  const std::string& text(std::string_view key) const { return std::get<std::string>(at(key)); }
};

enum class RecordFormat { md, json, jsonl, csv };
/// The names that --output takes.
std::vector<std::string> record_format_names();
std::optional<RecordFormat> record_format_from_name(std::string_view name);

/// A column of the Markdown table.
struct TableColumn {
  std::string title;
  std::size_t width = 0;  ///< at least
  bool right = false;
  std::function<std::string(const Record&)> text;
};

/// Prints records as they come, so that what was measured before an interruption is there.
class RecordPrinter {
 public:
  using Write = std::function<void(std::string_view)>;

  /// `columns`: of the Markdown table; the other formats print every field. CSV leaves lists out.
  RecordPrinter(RecordFormat format, std::vector<TableColumn> columns, Write write);

  void print(const Record& record);
  /// Closes what is open; also when nothing was printed.
  void finish();

 private:
  void print_table(const Record& record);
  void print_csv(const Record& record);

  RecordFormat format_;
  std::vector<TableColumn> columns_;
  Write write_;
  bool first_ = true;
};

/// One JSON object without line breaks. Numbers that are not finite are null.
std::string record_json(const Record& record);

}  // namespace minke::cli
