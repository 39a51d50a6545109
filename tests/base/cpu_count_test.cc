#include "base/cpu_count.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>

#include "base/thread_pool.h"
#include "support/temp_folder.h"

namespace minke::base {
namespace {

/// A file system root with just the files that matter.
class CpuCountTest : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& content) const { folder_.write(path, content + "\n"); }
  void hyperthreads(int cores) const {  // cpu i and cpu i + cores share a core
    for (int cpu = 0; cpu < 2 * cores; ++cpu)
      write("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/core_cpus_list",
            std::to_string(cpu % cores) + "," + std::to_string(cpu % cores + cores));
  }

  test::TempFolder folder_;
  std::string root_ = folder_.path();
};

TEST_F(CpuCountTest, HyperthreadsShareACore) {
  hyperthreads(4);
  std::vector<int> all(8);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(physical_cores(all, root_), 4u);
  EXPECT_EQ(physical_cores(std::vector<int>{0, 4}, root_), 1u);
  EXPECT_EQ(physical_cores(std::vector<int>{0, 1, 5}, root_), 2u);
  EXPECT_EQ(thread_count_for(all, root_), 4u);
}

TEST_F(CpuCountTest, UnknownTopologyCountsProcessors) {
  EXPECT_EQ(thread_count_for(std::vector<int>{0, 1, 2}, root_), 3u);
}

TEST_F(CpuCountTest, V2QuotaOfAnyLevelCounts) {
  write("/proc/self/cgroup", "0::/outer/inner");
  write("/sys/fs/cgroup/outer/inner/cpu.max", "max 100000");
  EXPECT_FALSE(cgroup_cpu_quota(root_).has_value());
  write("/sys/fs/cgroup/outer/cpu.max", "250000 100000");
  EXPECT_DOUBLE_EQ(cgroup_cpu_quota(root_).value_or(0), 2.5);
  const std::vector<int> cpus{0, 1, 2, 3};
  EXPECT_EQ(thread_count_for(cpus, root_), 2u);
  write("/sys/fs/cgroup/outer/inner/cpu.max", "50000 100000");
  EXPECT_EQ(thread_count_for(cpus, root_), 1u);
  write("/sys/fs/cgroup/outer/inner/cpu.max", "nonsense");
  EXPECT_EQ(thread_count_for(cpus, root_), 2u);
}

TEST_F(CpuCountTest, V1QuotaInAContainer) {
  // The path is the host's; only the mount's own files are there.
  write("/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/docker/abc");
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "300000");
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000");
  EXPECT_DOUBLE_EQ(cgroup_cpu_quota(root_).value_or(0), 3);
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1");
  EXPECT_FALSE(cgroup_cpu_quota(root_).has_value());
}

TEST_F(CpuCountTest, ThisMachine) {
  EXPECT_GE(default_thread_count(), 1u);
  EXPECT_LE(default_thread_count(), allowed_cpus().size());
}

}  // namespace
}  // namespace minke::base
