// Names of Arm processors: their /proc/cpuinfo has numbers alone.
#pragma once

#include <string>

namespace minke::cli {

/// "Arm Neoverse-N1", or the cores of a machine with several kinds, as "Arm Cortex-A55 + Arm Cortex-A76", in the order
/// of the file. A number without a name here is said as it is ("Arm part 0xd99"). Empty: `cpuinfo` (the path of a file
/// such as /proc/cpuinfo) names no implementer.
std::string arm_processor_name(const std::string& cpuinfo);

}  // namespace minke::cli
