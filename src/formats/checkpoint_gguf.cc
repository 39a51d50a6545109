#include <cassert>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "formats/checkpoint_builder.h"

namespace minke::formats {
namespace {

using base::cat;
using base::Error;
using base::ErrorCode;

std::string five_digits(std::uint64_t number) {
  std::string digits = cat(number);
  return digits.size() < 5 ? std::string(5 - digits.size(), '0') + digits : digits;
}

/// "-00002-of-00003.gguf"
std::string part_ending(std::uint64_t part, std::uint64_t count) {
  return cat("-", five_digits(part), "-of-", five_digits(count), ".gguf");
}

struct Split {
  std::uint64_t number = 0;  // from 0
  std::uint64_t count = 1;   // 1: not split
  std::optional<std::uint64_t> tensors;
};

Split split_of(const GgufMetadata& metadata) {
  Split split;
  split.count = metadata.find_uint("split.count").value_or(1);
  split.number = metadata.find_uint("split.no").value_or(0);
  split.tensors = metadata.find_uint("split.tensors.count");
  // ggml stores 16 bits; 0 is written by some tools for "not split".
  if (split.count > 65535 || (split.number >= split.count && split.count > 0))
    throw Error(ErrorCode::format, cat(metadata.source(), ": key 'split.no': expected less than 'split.count' (",
                                       split.count, ", at most 65535), got ", split.number));
  return split;
}

}  // namespace

void CheckpointBuilder::load_gguf(const base::MappedFile& file) {
  GgufHeader header = parse_gguf(file.data(), file.data().size(), file.path());
  const Split split = split_of(header.metadata);
  if (split.count > 1) {
    const std::string ending = part_ending(split.number + 1, split.count);
    if (!file.path().ends_with(ending))
      throw Error(ErrorCode::invalid_argument,
                  cat(file.path(), ": part ", split.number + 1, " of ", split.count,
                      " of a split model must be called NAME", ending),
                  "give the parts their names back");
    if (split.number != 0) {
      const std::string stem = file.path().substr(0, file.path().size() - ending.size());
      throw Error(ErrorCode::invalid_argument,
                  cat(file.path(), ": expected the first file of a split model, got part ", split.number + 1, " of ",
                      split.count),
                  cat("open ", stem, part_ending(1, split.count)));
    }
  }
  add_gguf_tensors(header, file);
  if (const std::string* chat_template = header.metadata.find_string("tokenizer.chat_template"))
    checkpoint_->chat_template_ = *chat_template;
  checkpoint_->metadata_ = std::move(header.metadata);
  if (split.count > 1) load_gguf_parts(split.count, split.tensors.value_or(0));
}

void CheckpointBuilder::load_gguf_parts(std::uint64_t count, std::uint64_t expected_tensors) {
  const std::string& first = checkpoint_->path_;
  const std::string stem = first.substr(0, first.size() - part_ending(1, count).size());
  for (std::uint64_t part = 2; part <= count; ++part) {
    const std::string path = stem + part_ending(part, count);
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored))
      throw Error(ErrorCode::not_found, cat(path, ": part ", part, " of ", count, " of the split model is missing"),
                  "fetch the model again");
    const base::MappedFile& file = map(path);
    const GgufHeader header = parse_gguf(file.data(), file.data().size(), path);
    const Split split = split_of(header.metadata);
    if (split.count != count || split.number != part - 1)
      throw Error(ErrorCode::format, cat(path, ": keys 'split.no' and 'split.count': expected ", part - 1, " of ",
                                         count, ", got ", split.number, " of ", split.count));
    add_gguf_tensors(header, file);
  }
  if (expected_tensors != checkpoint_->tensors_.size())
    throw Error(ErrorCode::format, cat(first, ": key 'split.tensors.count': expected the ",
                                       checkpoint_->tensors_.size(), " tensors of all parts, got ", expected_tensors));
}

void CheckpointBuilder::add_gguf_tensors(const GgufHeader& header, const base::MappedFile& file) {
  checkpoint_->tensors_.reserve(checkpoint_->tensors_.size() + header.tensors.size());
  for (const GgufTensor& entry : header.tensors) {
    const auto dtype = dtype_from_ggml(entry.ggml_type);
    assert(dtype.has_value());  // parse_gguf refuses the others
    TensorView tensor;
    tensor.name = entry.name;
    tensor.dtype = dtype.value_or(DType::f32);
    tensor.shape = entry.shape;
    tensor.data = file.data().subspan(entry.offset, entry.bytes);
    tensor.file = &file;
    checkpoint_->tensors_.push_back(std::move(tensor));
  }
}

}  // namespace minke::formats
