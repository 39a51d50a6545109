#include "cli/machine_report.h"

#include <gtest/gtest.h>

#include "cli/machine.h"
#include "support/temp_folder.h"

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

TEST(Machine, NamesTheProcessor) {
  const test::TempFolder folder;
  const auto name = [&](const std::string& cpuinfo) { return processor_name(folder.write("cpuinfo", cpuinfo)); };
  const auto core = [](const std::string& implementer, const std::string& part) {
    return "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd asimddp\nCPU implementer\t: " + implementer +
           "\nCPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: " + part + "\nCPU revision\t: 1\n\n";
  };
  const std::string n1 = core("0x41", "0xd0c"), a55 = core("0x41", "0xd05"), a76 = core("0x41", "0xd0b");
  EXPECT_EQ(name("processor\t: 0\nmodel name\t: AMD EPYC 9R14\n"), "AMD EPYC 9R14");
  EXPECT_EQ(name(n1 + n1), "Arm Neoverse-N1");
  EXPECT_EQ(name(a55 + a55 + a76 + a55), "Arm Cortex-A55 + Arm Cortex-A76");
  EXPECT_EQ(name(core("0xc0", "0xac3")), "Ampere One");
  EXPECT_EQ(name(core("0x6d", "0xd49")), "Microsoft Cobalt-100");
  EXPECT_EQ(name(core("0x41", "0xffe")), "Arm part 0xffe");
  EXPECT_EQ(name(core("0x99", "0x001")), "implementer 0x99 part 0x1");
  EXPECT_EQ(name("model name\t: Named after all\n" + n1), "Named after all");
  EXPECT_EQ(name("CPU part\t: 0xd0c\n"), "unknown");  // whose part?
  EXPECT_EQ(name("CPU implementer\t: many\nCPU part\t: 0x\nCPU partition\t: 0xd0c\n"), "unknown");
  EXPECT_EQ(name(""), "unknown");
  EXPECT_EQ(processor_name(folder.file("none")), "unknown");
}

TEST(Machine, ReadsProcFiles) {
  EXPECT_FALSE(processor_name().empty());
  EXPECT_GT(memory_bytes("MemTotal").value_or(0), 0U);
  EXPECT_FALSE(memory_bytes("NoSuchLine").has_value());
  EXPECT_EQ(proc_value("/proc/no/such/file", "MemTotal"), "");
}

}  // namespace
}  // namespace minke::cli
