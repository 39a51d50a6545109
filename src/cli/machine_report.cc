#include "cli/machine_report.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/cat.h"
#include "base/cpu_count.h"
#include "base/memory.h"
#include "base/thread_pool.h"
#include "cli/bench_kernels.h"
#include "cli/machine.h"
#include "cli/text_format.h"
#include "kernels/linear_path.h"

namespace minke::cli {
namespace {

namespace json = boost::json;

ThreadReason thread_reason() {
  const auto cpus = base::allowed_cpus();
  return {.threads = base::default_thread_count(),
          .machine_cpus = std::thread::hardware_concurrency(),
          .allowed_cpus = cpus.size(),
          .physical_cores = base::physical_cores(cpus, ""),
          .quota = base::cgroup_cpu_quota("")};
}

std::size_t numa_nodes() {
  std::size_t nodes = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/devices/system/node", ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("node") && name.find_first_not_of("0123456789", 4) == std::string::npos) ++nodes;
  }
  return std::max<std::size_t>(nodes, 1);
}

/// The word in brackets of "always [madvise] never".
std::string huge_page_mode() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string line;
  std::getline(file, line);
  const std::size_t open = line.find('['), close = line.find(']');
  return open == std::string::npos || close == std::string::npos || close < open
             ? "unknown"
             : line.substr(open + 1, close - open - 1);
}

std::uint64_t reserved_huge_pages() {
  std::uint64_t count = 0;
  std::ifstream("/proc/sys/vm/nr_hugepages") >> count;
  return count;
}

std::string row(std::string_view label, std::string_view value) {
  return base::cat(padded(label, 14), printable(value), "\n");
}

std::string bytes_or_unknown(std::optional<std::uint64_t> bytes) { return bytes ? byte_text(*bytes) : "unknown"; }

std::string giga(double value) { return fixed_text(value * 1e-9, value < 1e11 ? 1 : 0); }

std::string limits_text(const Limits& limits) {
  std::string text = base::cat("reads ", giga(limits.read_bandwidth), " GB/s; fp32 ", giga(limits.peak.fp32),
                               " GFLOP/s, int8 ", giga(limits.peak.int8), " GOP/s");
  if (limits.peak.int4 > 0) text += base::cat(", 4-bit ", giga(limits.peak.int4), " GOP/s");
  return text;
}

std::string huge_page_text(const MachineReport& r) {
  std::string text = r.huge_pages;
  if (r.huge_pages == "never") text += ": weights lie in 4 KiB pages, which costs a tenth of the decoding speed";
  if (r.huge_pages == "madvise") text += ": weights ask for them";
  if (r.reserved_huge_pages > 0) text += base::cat("; ", r.reserved_huge_pages, " are reserved for other programs");
  return text;
}

json::object limits_json(const Limits& limits, std::size_t threads) {
  json::object object;
  object["threads"] = threads;
  object["read_bandwidth"] = limits.read_bandwidth;
  object["fp32"] = limits.peak.fp32;
  object["int8"] = limits.peak.int8;
  object["int4"] = limits.peak.int4;
  return object;
}

json::value optional_json(const std::optional<std::uint64_t>& value) {
  return value ? json::value(*value) : json::value(nullptr);
}

}  // namespace

std::string ThreadReason::text() const {
  std::string why;
  if (quota && *quota < static_cast<double>(physical_cores)) {
    why = base::cat("the cgroup's quota of ", fixed_text(*quota, 1), " processors, rounded down");
    if (*quota < 1) why = base::cat("the cgroup's quota is ", fixed_text(*quota, 1), " of a processor");
  } else if (allowed_cpus < machine_cpus) {
    why = base::cat("the physical cores among the ", allowed_cpus, " of ", machine_cpus,
                    " processors that CPU affinity allows");
  } else {
    why = "every physical core";
  }
  return base::cat(threads, ": ", why, " (", allowed_cpus, " processors allowed, ", physical_cores, " physical cores, ",
                   quota ? base::cat("a quota of ", fixed_text(*quota, 1)) : std::string("no quota"), ")");
}

MachineReport examine_machine() {
  MachineReport report;
  report.processor = processor_name();
  for (const kernels::Isa isa : kernels::available_isas()) report.isas.emplace_back(kernels::to_string(isa));
  report.chosen = kernels::best_isa();
  report.kernels = kernels::name(kernels::kernel_table(report.chosen));
  report.threads = thread_reason();
  report.numa_nodes = numa_nodes();
  report.huge_pages = huge_page_mode();
  report.reserved_huge_pages = reserved_huge_pages();
  report.memory = memory_bytes("MemTotal");
  report.memory_available = base::available_memory();
  report.memory_limit = base::cgroup_memory_limit();
  base::ThreadPool one(1);
  report.one_thread = report.all_threads = measure_limits(report.chosen, one);
  if (report.threads.threads > 1) {
    base::ThreadPool all(report.threads.threads);
    report.all_threads = measure_limits(report.chosen, all);
  }
  for (const formats::DType type : packable_types()) {
    report.codecs.push_back({std::string(formats::info(type).name),
                             std::string(kernels::linear_path(report.chosen, type, kernels::Numerics::fast)),
                             std::string(kernels::linear_path(report.chosen, type, kernels::Numerics::exact))});
  }
  return report;
}

std::string machine_text(const MachineReport& r) {
  std::string isas;
  for (const std::string& isa : r.isas) isas += base::cat(isas.empty() ? "" : ", ", isa);
  std::string text = row("processor", r.processor);
  text += row("kernels", base::cat(isas, "; chosen ", r.kernels));
  text += row("threads", r.threads.text());
  text += row("NUMA", r.numa_nodes == 1 ? "one node" : base::cat(r.numa_nodes, " nodes"));
  text += row("memory", base::cat(bytes_or_unknown(r.memory_available), " available of ", bytes_or_unknown(r.memory),
                                  r.memory_limit ? base::cat(", the cgroup's limit is ", byte_text(*r.memory_limit))
                                                 : std::string(", no cgroup limit")));
  text += row("huge pages", huge_page_text(r));
  text += row("1 thread", limits_text(r.one_thread));
  if (r.threads.threads > 1) text += row(base::cat(r.threads.threads, " threads"), limits_text(r.all_threads));
  // Types that take the same path share a line.
  std::vector<std::pair<std::string, std::string>> paths;
  for (const CodecPath& codec : r.codecs) {
    auto same = paths.begin();
    while (same != paths.end() && same->first != codec.fast) ++same;
    if (same == paths.end()) same = paths.insert(paths.end(), {codec.fast, ""});
    same->second += base::cat(same->second.empty() ? "" : " ", codec.type);
  }
  for (const auto& [path, types] : paths) text += row("path", base::cat(path, "  <-  ", types));
  return text;
}

std::string machine_json(const MachineReport& r) {
  json::object object;
  object["processor"] = r.processor;
  json::array isas;
  for (const std::string& isa : r.isas) isas.emplace_back(isa);
  object["isas"] = std::move(isas);
  object["isa"] = std::string(kernels::to_string(r.chosen));
  object["kernels"] = r.kernels;
  object["threads"] = r.threads.threads;
  object["threads_reason"] = r.threads.text();
  object["processors"] = r.threads.machine_cpus;
  object["allowed_processors"] = r.threads.allowed_cpus;
  object["physical_cores"] = r.threads.physical_cores;
  object["quota"] = r.threads.quota ? json::value(*r.threads.quota) : json::value(nullptr);
  object["numa_nodes"] = r.numa_nodes;
  object["huge_pages"] = r.huge_pages;
  object["memory"] = optional_json(r.memory);
  object["memory_available"] = optional_json(r.memory_available);
  object["memory_limit"] = optional_json(r.memory_limit);
  json::array limits = {limits_json(r.one_thread, 1)};
  if (r.threads.threads > 1) limits.push_back(limits_json(r.all_threads, r.threads.threads));
  object["limits"] = std::move(limits);
  json::array codecs;
  for (const CodecPath& codec : r.codecs) {
    codecs.push_back({{"type", codec.type}, {"fast", codec.fast}, {"exact", codec.exact}});
  }
  object["paths"] = std::move(codecs);
  return json::serialize(object) + "\n";
}

}  // namespace minke::cli
