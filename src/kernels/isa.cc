#include "kernels/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "base/error.h"
#include "kernels/kernel_table.h"

namespace minke::kernels {
namespace {

/// Names that are missing, separated by commas.
class Missing {
 public:
  void need(bool have, std::string_view feature) {
    if (have) return;
    if (!text_.empty()) text_ += ", ";
    text_ += feature;
  }
  std::string text() const { return text_; }

 private:
  std::string text_;
};

bool is_arm(Isa isa) { return isa == Isa::neon || isa == Isa::neon_dotprod || isa == Isa::neon_i8mm; }

#if defined(__x86_64__)

/// The register state of AMX is large (8 KiB), so Linux gives it only to a process that asks, once for all its threads
/// (Documentation/arch/x86/xstate.rst). True when it did.
bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

/// The compiler's run-time support also asks the operating system (XGETBV).
std::string missing_here(Isa isa) {
  if (is_arm(isa)) return "a 64-bit Arm processor";
  Missing missing;
  const auto need = [&](bool have, std::string_view feature) { missing.need(have, feature); };
  __builtin_cpu_init();
  need(__builtin_cpu_supports("avx2") != 0, "AVX2");
  need(__builtin_cpu_supports("fma") != 0, "FMA");
  // Clang 16 has no name for F16C: leaf 1, ECX bit 29.
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  need(__get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx >> 29 & 1U) != 0, "F16C");
  if (isa == Isa::avx512 || isa == Isa::amx) {
    need(__builtin_cpu_supports("avx512f") != 0, "AVX512F");
    need(__builtin_cpu_supports("avx512bw") != 0, "AVX512BW");
    need(__builtin_cpu_supports("avx512dq") != 0, "AVX512DQ");
    need(__builtin_cpu_supports("avx512vl") != 0, "AVX512VL");
    need(__builtin_cpu_supports("avx512vnni") != 0, "AVX512_VNNI");
  }
  if (isa == Isa::amx) {
    need(__builtin_cpu_supports("avx512bf16") != 0, "AVX512_BF16");
    need(__builtin_cpu_supports("avx512vbmi") != 0, "AVX512_VBMI");
    // Leaf 7, EDX: bit 24 the tiles, 25 their integer products, 22 those of BF16. Clang 16 has no names for them.
    const bool known = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0;
    const auto has = [&](unsigned bit) { return known && (edx >> bit & 1U) != 0; };
    missing.need(has(24), "AMX-TILE");
    missing.need(has(25), "AMX-INT8");
    missing.need(has(22), "AMX-BF16");
    if (has(24) && has(25) && has(22)) missing.need(may_use_tiles(), "the kernel's permission to use AMX");
  }
  return missing.text();
}

KernelTable with_tiles(KernelTable table) {
  table.name = kAmxTable.name;
  table.linear_bytes = kAmxTable.linear_bytes;
  table.linear_blocks = kAmxTable.linear_blocks;
  table.quantize_block = kAmxTable.quantize_block;
  table.linear_halves = kAmxTable.linear_halves;
  table.round_halves = kAmxTable.round_halves;
  table.attention_bf16 = kAmxTable.attention_bf16;
  return table;
}

/// The tables as this processor runs them best.
struct TunedTables {
  KernelTable avx2 = kAvx2Table, avx512 = kAvx512Table, amx = with_tiles(kAvx512Table);

  TunedTables() {
    __builtin_cpu_init();
    if (__builtin_cpu_is("intel") == 0) return;
    constexpr std::size_t kFetchAhead = 2048;
    avx2.fetch_ahead = avx512.fetch_ahead = amx.fetch_ahead = kFetchAhead;
  }
};

const KernelTable& table_of(Isa isa) {
  static const TunedTables tuned;
  switch (isa) {
    case Isa::avx2:
      return tuned.avx2;
    case Isa::avx512:
      return tuned.avx512;
    case Isa::amx:
      return tuned.amx;
    default:
      return kScalarTable;
  }
}

#elif defined(__aarch64__)

/// Bits of the kernel's hardware capabilities (arch/arm64/include/uapi/asm/hwcap.h); the C library's headers may
/// be older than the extension.
constexpr unsigned long kAdvancedSimd = 1UL << 1, kDotProduct = 1UL << 20;
constexpr unsigned long kInt8Matrix = 1UL << 13;  // of AT_HWCAP2

std::string missing_here(Isa isa) {
  if (!is_arm(isa)) return "an x86-64 processor";
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  Missing missing;
  missing.need((first & kAdvancedSimd) != 0, "Advanced SIMD (asimd)");
  if (isa != Isa::neon) missing.need((first & kDotProduct) != 0, "dot products (asimddp)");
  if (isa == Isa::neon_i8mm) missing.need((second & kInt8Matrix) != 0, "int8 matrix products (i8mm)");
  return missing.text();
}

const KernelTable& table_of(Isa isa) {
  switch (isa) {
    case Isa::neon:
      return kNeonTable;
    case Isa::neon_dotprod:
      return kNeonDotprodTable;
    case Isa::neon_i8mm:
      return kNeonI8mmTable;
    default:
      return kScalarTable;
  }
}

#else

std::string missing_here(Isa isa) { return is_arm(isa) ? "a 64-bit Arm processor" : "an x86-64 processor"; }
const KernelTable& table_of(Isa) { return kScalarTable; }

#endif

/// What is missing to run an instruction set here; empty when nothing is.
std::string missing_features(Isa isa) { return isa == Isa::scalar ? std::string() : missing_here(isa); }

constexpr Isa kAll[] = {Isa::scalar, Isa::avx2, Isa::avx512, Isa::amx, Isa::neon, Isa::neon_dotprod, Isa::neon_i8mm};

}  // namespace

std::string_view to_string(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return "scalar";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::amx:
      return "amx";
    case Isa::neon:
      return "neon";
    case Isa::neon_dotprod:
      return "neon-dotprod";
    case Isa::neon_i8mm:
      return "neon-i8mm";
  }
  return "unknown";
}

std::optional<Isa> isa_from_name(std::string_view name) {
  for (const Isa isa : kAll)
    if (to_string(isa) == name) return isa;
  return std::nullopt;
}

std::vector<std::string_view> isa_names() {
  std::vector<std::string_view> names;
  for (const Isa isa : kAll) names.push_back(to_string(isa));
  return names;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : kAll)
    if (missing_features(isa).empty()) isas.push_back(isa);
  return isas;
}

const KernelTable& kernel_table(Isa isa) {
  const std::string missing = missing_features(isa);
  if (!missing.empty())
    throw base::Error(base::ErrorCode::unsupported,
                      base::cat("instruction set '", to_string(isa), "': this machine lacks ", missing),
                      "leave the choice to the program, or take 'scalar'");
  return table_of(isa);
}

Isa best_isa() { return available_isas().back(); }

std::string_view name(const KernelTable& table) { return table.name; }

}  // namespace minke::kernels
