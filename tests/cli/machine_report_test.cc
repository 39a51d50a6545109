#include "cli/machine_report.h"

#include <gtest/gtest.h>

#include "cli/machine.h"

namespace minke::cli {
namespace {

TEST(MachineReport, SaysWhyTheThreadCountIsWhatItIs) {
  const auto text = [](std::size_t threads, std::size_t machine, std::size_t allowed, std::size_t cores,
                       std::optional<double> quota) {
    return ThreadReason{threads, machine, allowed, cores, quota}.text();
  };
  EXPECT_EQ(text(4, 8, 8, 4, std::nullopt),
            "4: every physical core (8 processors allowed, 4 physical cores, no quota)");
  EXPECT_EQ(text(2, 8, 3, 2, std::nullopt),
            "2: the physical cores among the 3 of 8 processors that CPU affinity allows (3 processors allowed, 2 "
            "physical cores, no quota)");
  EXPECT_EQ(text(1, 8, 8, 4, 1.5).find("1: the cgroup's quota of 1.5 processors, rounded down"), 0U);
  EXPECT_EQ(text(1, 8, 8, 4, 0.5).find("1: the cgroup's quota is 0.5 of a processor"), 0U);
  EXPECT_EQ(text(4, 8, 8, 4, 16.0).find("4: every physical core"), 0U);
}

TEST(Machine, ReadsProcFiles) {
  EXPECT_FALSE(processor_name().empty());
  const auto total = memory_bytes("MemTotal");
  ASSERT_TRUE(total.has_value());
  EXPECT_GT(*total, 0U);
  EXPECT_FALSE(memory_bytes("NoSuchLine").has_value());
  EXPECT_EQ(proc_value("/proc/no/such/file", "MemTotal"), "");
}

}  // namespace
}  // namespace minke::cli
