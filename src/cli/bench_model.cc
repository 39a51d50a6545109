#include "cli/bench_model.h"

#include <algorithm>
#include <array>

#include "base/cat.h"
#include "base/random.h"
#include "cli/model_source.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text_format.h"
#include "models/config.h"

namespace minke::cli {
namespace {

/// GGUF's general.file_type, as llama.cpp prints them.
std::string_view file_type_name(std::uint64_t type) {
  constexpr std::array<std::pair<std::uint64_t, std::string_view>, 34> kNames = {{
      {0, "all F32"},       {1, "F16"},           {2, "Q4_0"},           {3, "Q4_1"},          {7, "Q8_0"},
      {8, "Q5_0"},          {9, "Q5_1"},          {10, "Q2_K - Medium"}, {11, "Q3_K - Small"}, {12, "Q3_K - Medium"},
      {13, "Q3_K - Large"}, {14, "Q4_K - Small"}, {15, "Q4_K - Medium"}, {16, "Q5_K - Small"}, {17, "Q5_K - Medium"},
      {18, "Q6_K"},         {19, "IQ2_XXS"},      {20, "IQ2_XS"},        {21, "Q2_K - Small"}, {22, "IQ3_XS"},
      {23, "IQ3_XXS"},      {24, "IQ1_S"},        {25, "IQ4_NL"},        {26, "IQ3_S"},        {27, "IQ3_S mix"},
      {28, "IQ2_S"},        {29, "IQ2_M"},        {30, "IQ4_XS"},        {31, "IQ1_M"},        {32, "BF16"},
      {36, "TQ1_0"},        {37, "TQ2_0"},        {38, "MXFP4 MoE"},     {39, "NVFP4"},
  }};
  for (const auto& [number, name] : kNames) {
    if (number == type) return name;
  }
  return {};
}

/// The type that most bytes have.
std::string_view main_type(const models::ModelSizes& sizes) {
  const auto most = std::max_element(sizes.groups.begin(), sizes.groups.end(),
                                     [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
  return most == sizes.groups.end() ? std::string_view() : formats::info(most->dtype).name;
}

/// 1543714304 -> "1.5B", 134515008 -> "135M".
std::string short_count(std::uint64_t count) {
  const auto value = static_cast<double>(count);
  return count >= 1'000'000'000 ? fixed_text(value / 1e9, 1) + "B" : fixed_text(value / 1e6, 0) + "M";
}

}  // namespace

BenchFile open_bench_file(const Session& session, const std::string& model) {
  BenchFile file;
  file.given = model;
  file.checkpoint = open_checkpoint(session.environment.store(), model);
  const models::DecoderConfig config = models::read_config(*file.checkpoint);
  file.sizes = models::measure(*file.checkpoint, config, kernels::Numerics::fast);
  const auto number = file.checkpoint->metadata().find_uint("general.file_type");
  std::string_view type = number ? file_type_name(*number) : std::string_view();
  if (type.empty()) type = main_type(file.sizes);
  file.type = base::cat(config.architecture, " ", short_count(file.sizes.parameters), " ", type);
  return file;
}

BenchModel::BenchModel(const Session& session, const BenchFile& file, const EngineFlags& flags, std::size_t threads,
                       std::size_t batch, std::size_t context) {
  Progress loading("loading", session.environment.stderr_terminal);
  engine::EngineOptions options = flags.options(kernels::Numerics::fast);
  options.threads = threads;
  options.context = context;
  options.chunk = batch;
  options.progress = [&loading](std::uint64_t done, std::uint64_t total) {
    loading.update(done, total, base::cat(byte_text(done), " of ", byte_text(total)));
  };
  engine_ = std::make_unique<engine::Engine>(*file.checkpoint, options);
  loading.clear();
  text_ = tokens(context, 0);
}

std::vector<engine::TokenId> BenchModel::tokens(std::size_t count, std::uint32_t variant) const {
  std::vector<engine::TokenId> ids(count);
  const auto vocab = static_cast<double>(engine_->vocab_size());
  for (std::size_t i = 0; i < count; ++i) {
    ids[i] = static_cast<engine::TokenId>(base::uniform(/*seed=*/1, /*stream=*/variant, i) * vocab);
  }
  return ids;
}

bool BenchModel::fill(std::size_t depth, const Stop& stopped) {
  if (depth == 0) return true;
  return engine_->feed(std::span(text_).first(depth), depth, /*singles=*/0,
                       [&](std::size_t, std::size_t) { return !stopped(); });
}

bool BenchModel::run(const BenchTest& test, const Stop& stopped) {
  const std::size_t tokens = test.depth + test.prompt + test.gen;
  if (tokens == test.depth) return true;
  return engine_->feed(std::span(text_).first(tokens), test.depth, /*singles=*/test.gen,
                       [&](std::size_t, std::size_t) { return !stopped(); });
}

}  // namespace minke::cli
