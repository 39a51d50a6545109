#include "cli/record.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <boost/json/serialize.hpp>

#include "base/cat.h"
#include "base/utf8.h"
#include "cli/text_format.h"

namespace minke::cli {
namespace {

std::string json_text(bool value) { return value ? "true" : "false"; }
std::string json_text(std::int64_t value) { return base::cat(value); }
std::string json_text(double value) { return std::isfinite(value) ? base::cat(value) : "null"; }
std::string json_text(const std::string& value) { return boost::json::serialize(base::to_valid_utf8(value)); }

template <typename T>
std::string json_text(const std::vector<T>& values) {
  std::string text = "[";
  for (const T& value : values) text += base::cat(text.size() > 1 ? ", " : "", json_text(value));
  return text + "]";
}

std::string json_of(const RecordValue& value) {
  return std::visit([](const auto& held) { return json_text(held); }, value);
}

bool is_list(const RecordValue& value) {
  return std::holds_alternative<std::vector<std::int64_t>>(value) || std::holds_alternative<std::vector<double>>(value);
}

/// Quoted, quotation marks doubled (RFC 4180).
std::string csv_text(const RecordValue& value) {
  const std::string* held = std::get_if<std::string>(&value);
  const std::string plain = held != nullptr ? *held : json_of(value);
  std::string text = "\"";
  for (const char c : plain) {
    if (c == '"') text.push_back('"');
    text.push_back(c);
  }
  return text + "\"";
}

}  // namespace

const RecordValue& Record::at(std::string_view key) const {
  for (const auto& [name, value] : fields) {
    if (name == key) return value;
  }
  throw std::out_of_range(base::cat("no field \"", key, "\""));
}

std::vector<std::string> record_format_names() { return {"md", "json", "jsonl", "csv"}; }

std::optional<RecordFormat> record_format_from_name(std::string_view name) {
  if (name == "md") return RecordFormat::md;
  if (name == "json") return RecordFormat::json;
  if (name == "jsonl") return RecordFormat::jsonl;
  if (name == "csv") return RecordFormat::csv;
  return std::nullopt;
}

std::string record_json(const Record& record) {
  std::string text = "{";
  for (const auto& [key, value] : record.fields) {
    text += base::cat(text.size() > 1 ? ", " : "", json_text(key), ": ", json_of(value));
  }
  return text + "}";
}

RecordPrinter::RecordPrinter(RecordFormat format, std::vector<TableColumn> columns, Write write)
    : format_(format), columns_(std::move(columns)), write_(std::move(write)) {}

void RecordPrinter::print(const Record& record) {
  switch (format_) {
    case RecordFormat::md:
      print_table(record);
      break;
    case RecordFormat::csv:
      print_csv(record);
      break;
    case RecordFormat::json:
      write_(base::cat(first_ ? "[\n  " : ",\n  ", record_json(record)));
      break;
    case RecordFormat::jsonl:
      write_(record_json(record) + "\n");
      break;
  }
  first_ = false;
}

void RecordPrinter::print_table(const Record& record) {
  if (first_) {
    std::string titles = "|", rule = "|";
    for (const TableColumn& column : columns_) {
      const std::size_t width = std::max(column.width, column.title.size());
      titles += base::cat(" ", column.right ? padded_left(column.title, width) : padded(column.title, width), " |");
      rule += base::cat(" ", std::string(width - 1, '-'), column.right ? ":" : "-", " |");
    }
    write_(base::cat(titles, "\n", rule, "\n"));
  }
  std::string line = "|";
  for (const TableColumn& column : columns_) {
    const std::size_t width = std::max(column.width, column.title.size());
    const std::string text = printable(column.text(record));
    line += base::cat(" ", column.right ? padded_left(text, width) : padded(text, width), " |");
  }
  write_(line + "\n");
}

void RecordPrinter::print_csv(const Record& record) {
  std::string titles, line;
  for (const auto& [key, value] : record.fields) {
    if (is_list(value)) continue;
    titles += base::cat(titles.empty() ? "" : ",", key);
    line += base::cat(line.empty() ? "" : ",", csv_text(value));
  }
  write_(base::cat(first_ ? titles + "\n" : std::string(), line, "\n"));
}

void RecordPrinter::finish() {
  if (format_ == RecordFormat::json) write_(first_ ? "[\n]\n" : "\n]\n");
}

}  // namespace minke::cli
