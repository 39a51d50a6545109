// Every checkpoint that contradicts itself gives a typed error that names the item, in under a second and 64 MB,
// from opening it to having its weights; and the same one where it is only measured.
#include <gtest/gtest.h>

#include <cstdio>
#include <ctime>
#include <set>

#include "base/error.h"
#include "models/config.h"
#include "models/estimate.h"
#include "models/hostile_checkpoint.h"
#include "models/loader.h"
#include "support/counted_new.h"
#include "support/golden.h"
#include "support/temp_folder.h"

namespace minke::models::testing {
namespace {

constexpr std::size_t kMaxExtraBytes = std::size_t{64} << 20;
constexpr double kMaxSeconds = 1;  // of processor time

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::vector<HostileCheckpoint> all_cases() {
  std::vector<HostileCheckpoint> all;
  for (const auto& make : {hostile_expert_cases, hostile_latent_cases, hostile_fp8_cases})
    for (HostileCheckpoint& one : make()) all.push_back(std::move(one));
  return all;
}

struct Cost {
  double seconds = 0;
  std::size_t bytes = 0;
};

/// Opens and loads; the message of the error, or nothing.
std::string message_of(const std::string& path, kernels::Numerics numerics, Cost& cost) {
  base::ThreadPool pool(1);
  const std::size_t before = test::allocated.load();
  test::peak.store(before);
  const double start = processor_seconds();
  std::string message;
  try {
    const auto checkpoint = formats::Checkpoint::open(path);
    const DecoderConfig config = read_config(*checkpoint);
    load_weights(*checkpoint, config, numerics, pool, {});
  } catch (const base::Error& error) {
    message = error.message();
    using base::ErrorCode;
    const std::set<ErrorCode> fitting{ErrorCode::format, ErrorCode::unsupported, ErrorCode::numeric};
    EXPECT_TRUE(fitting.contains(error.code())) << to_string(error.code()) << ": " << message;
  }
  cost = {processor_seconds() - start, test::peak.load() - before};
  return message;
}

/// Measuring (`minke show`) reads no values, so it may find nothing wrong; never anything but a typed error.
void measure_only(const std::string& path) {
  try {
    const auto checkpoint = formats::Checkpoint::open(path);
    measure(*checkpoint, read_config(*checkpoint), kernels::Numerics::fast);
  } catch (const base::Error&) {
  }
}

Cost check(const HostileCheckpoint& one) {
  const test::TempFolder folder;
  test::CheckpointCopy copy(test::golden(one.base));
  one.change(copy);
  const std::string path = copy.write(folder.path());
  Cost worst;
  for (const auto numerics : {kernels::Numerics::exact, kernels::Numerics::fast}) {
    Cost cost;
    const std::string message = message_of(path, numerics, cost);
    EXPECT_NE(message, "") << one.name << ": loaded";
    EXPECT_NE(message.find(folder.path()), std::string::npos) << one.name << ": names no file: " << message;
    EXPECT_NE(message.find(one.item), std::string::npos) << one.name << ": expected " << one.item << " in: " << message;
    EXPECT_LT(message.size(), 1000u) << one.name;
    EXPECT_LT(cost.seconds, kMaxSeconds) << one.name;
    EXPECT_LT(cost.bytes, kMaxExtraBytes) << one.name;
    worst = {std::max(worst.seconds, cost.seconds), std::max(worst.bytes, cost.bytes)};
  }
  measure_only(path);
  return worst;
}

TEST(HostileCheckpoint, EveryCaseGivesATypedErrorThatNamesTheItem) {
  const std::vector<HostileCheckpoint> cases = all_cases();
  EXPECT_GE(cases.size(), 120u);
  Cost worst;
  std::set<std::string> names;
  for (const HostileCheckpoint& one : cases) {
    EXPECT_TRUE(names.insert(one.name).second) << one.name << " twice";
    const Cost cost = check(one);
    worst = {std::max(worst.seconds, cost.seconds), std::max(worst.bytes, cost.bytes)};
  }
  std::printf("%zu contradictory checkpoints; at most %.0f ms and %.1f MB each\n", cases.size(), worst.seconds * 1e3,
              static_cast<double>(worst.bytes) / 1e6);
}

// The cases' bases load as they are, so each fails for its own change.
TEST(HostileCheckpoint, TheUnchangedCopiesLoad) {
  std::set<std::string> bases;
  for (const HostileCheckpoint& one : all_cases()) bases.insert(one.base);
  for (const std::string& base : bases) {
    const test::TempFolder folder;
    Cost cost;
    EXPECT_EQ(message_of(test::CheckpointCopy(test::golden(base)).write(folder.path()), kernels::Numerics::exact, cost),
              "")
        << base;
  }
}

}  // namespace
}  // namespace minke::models::testing
