#include "cli/arm_processor.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <string_view>
#include <vector>

#include "base/cat.h"

namespace minke::cli {
namespace {

/// The fields of the processor's main ID register (MIDR_EL1) that name a core.
struct Core {
  std::uint32_t implementer, part;
  bool operator==(const Core&) const = default;
};

struct Implementer {
  std::uint32_t id;
  std::string_view name;
};
constexpr Implementer kImplementers[] = {
    {0x41, "Arm"},       {0x42, "Broadcom"}, {0x43, "Cavium"},  {0x46, "Fujitsu"}, {0x48, "HiSilicon"},
    {0x4e, "NVIDIA"},    {0x51, "Qualcomm"}, {0x53, "Samsung"}, {0x56, "Marvell"}, {0x61, "Apple"},
    {0x6d, "Microsoft"}, {0x70, "Phytium"},  {0xc0, "Ampere"},
};

struct Part {
  Core core;
  std::string_view name;
};
// 64-bit cores that a model may be run on. Sources: each core's technical reference manual (MIDR_EL1); the names are
// those of lscpu where it knows them.
constexpr Part kParts[] = {
    {{0x41, 0xd03}, "Cortex-A53"},   {{0x41, 0xd04}, "Cortex-A35"},  {{0x41, 0xd05}, "Cortex-A55"},
    {{0x41, 0xd07}, "Cortex-A57"},   {{0x41, 0xd08}, "Cortex-A72"},  {{0x41, 0xd09}, "Cortex-A73"},
    {{0x41, 0xd0a}, "Cortex-A75"},   {{0x41, 0xd0b}, "Cortex-A76"},  {{0x41, 0xd0c}, "Neoverse-N1"},
    {{0x41, 0xd0d}, "Cortex-A77"},   {{0x41, 0xd40}, "Neoverse-V1"}, {{0x41, 0xd41}, "Cortex-A78"},
    {{0x41, 0xd44}, "Cortex-X1"},    {{0x41, 0xd46}, "Cortex-A510"}, {{0x41, 0xd47}, "Cortex-A710"},
    {{0x41, 0xd48}, "Cortex-X2"},    {{0x41, 0xd49}, "Neoverse-N2"}, {{0x41, 0xd4a}, "Neoverse-E1"},
    {{0x41, 0xd4b}, "Cortex-A78C"},  {{0x41, 0xd4c}, "Cortex-X1C"},  {{0x41, 0xd4d}, "Cortex-A715"},
    {{0x41, 0xd4e}, "Cortex-X3"},    {{0x41, 0xd4f}, "Neoverse-V2"}, {{0x41, 0xd80}, "Cortex-A520"},
    {{0x41, 0xd81}, "Cortex-A720"},  {{0x41, 0xd82}, "Cortex-X4"},   {{0x41, 0xd83}, "Neoverse-V3AE"},
    {{0x41, 0xd84}, "Neoverse-V3"},  {{0x41, 0xd85}, "Cortex-X925"}, {{0x41, 0xd87}, "Cortex-A725"},
    {{0x41, 0xd8e}, "Neoverse-N3"},  {{0x46, 0x001}, "A64FX"},       {{0x48, 0xd01}, "Kunpeng-920"},
    {{0x4e, 0x004}, "Carmel"},       {{0x51, 0x001}, "Oryon"},       {{0x61, 0x022}, "Icestorm-M1"},
    {{0x61, 0x023}, "Firestorm-M1"}, {{0x61, 0x032}, "Blizzard-M2"}, {{0x61, 0x033}, "Avalanche-M2"},
    {{0x6d, 0xd49}, "Cobalt-100"},   {{0x70, 0x663}, "FTC663"},      {{0xc0, 0xac3}, "One"},
    {{0xc0, 0xac4}, "One A"},
};

std::string hex_text(std::uint32_t value) {
  char digits[8];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, 16).ptr;
  return base::cat("0x", std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

std::string core_name(const Core& core) {
  const auto* const implementer = std::ranges::find(kImplementers, core.implementer, &Implementer::id);
  const auto* const part = std::ranges::find(kParts, core, &Part::core);
  return base::cat(implementer == std::end(kImplementers) ? base::cat("implementer ", hex_text(core.implementer))
                                                          : std::string(implementer->name),
                   " ", part == std::end(kParts) ? base::cat("part ", hex_text(core.part)) : std::string(part->name));
}

/// VALUE of "KEY<blanks>: 0xVALUE" when the line is one of `key`.
bool read_field(std::string_view line, std::string_view key, std::uint32_t& value) {
  const std::size_t colon = line.find(':');
  if (!line.starts_with(key) || colon == std::string_view::npos) return false;
  if (line.find_first_not_of(" \t", key.size()) != colon) return false;
  const std::size_t digits = line.find("0x", colon);
  if (digits == std::string_view::npos) return false;
  return std::from_chars(line.data() + digits + 2, line.data() + line.size(), value, 16).ec == std::errc();
}

}  // namespace

std::string arm_processor_name(const std::string& cpuinfo) {
  std::ifstream file(cpuinfo);
  std::vector<Core> cores;
  Core core{};
  bool has_implementer = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("processor")) has_implementer = false;
    if (read_field(line, "CPU implementer", core.implementer)) has_implementer = true;
    if (!read_field(line, "CPU part", core.part) || !has_implementer) continue;
    if (std::ranges::find(cores, core) == cores.end()) cores.push_back(core);
  }
  std::string name;
  for (const Core& kind : cores) name += base::cat(name.empty() ? "" : " + ", core_name(kind));
  return name;
}

}  // namespace minke::cli
