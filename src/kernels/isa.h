// The tables of kernels, one per instruction set, chosen once at start.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace minke::kernels {

struct KernelTable;  // kernels/kernel_table.h

/// amx: the table of avx512 with products of bytes on matrix tiles.
enum class Isa { scalar, avx2, avx512, amx, neon, neon_dotprod, neon_i8mm };

/// Every name of --isa, whatever this machine has.
std::vector<std::string_view> isa_names();

std::string_view to_string(Isa isa);
std::optional<Isa> isa_from_name(std::string_view name);

/// What this processor and operating system can run, best last. Always holds scalar.
std::vector<Isa> available_isas();

/// The table of an instruction set. Error(unsupported) saying what is missing when it cannot run here.
const KernelTable& kernel_table(Isa isa);
/// The best one that runs here.
Isa best_isa();

/// The table's name, e.g. "avx512+vnni", as printed at start.
std::string_view name(const KernelTable& table);

}  // namespace minke::kernels
