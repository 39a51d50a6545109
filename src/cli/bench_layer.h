// `minke bench --layer`: one full-size layer of a model that need not fit here, and what the whole would do.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/record.h"
#include "formats/dtype.h"

namespace minke::cli {

struct LayerSettings {
  std::string model;  ///< as given; for messages and records
  std::string path;   ///< a config.json, or a checkpoint
  EngineFlags engine;
  std::size_t threads = 1;
  std::vector<std::size_t> tokens = {1, 8, 64, 512};
  std::vector<std::size_t> contexts = {4096, 32768};
  std::optional<formats::DType> dtype;  ///< unset: FP8 where config.json says so, else BF16
  double bandwidth = 0;                 ///< bytes per second of the machine to project to; 0: none
  bool show_progress = false;
};

/// Makes one layer (mixture of experts where the model has them) with random weights and measures its feed-forward
/// and its attention. Records: "feed-forward" and "attention" with their shares of the limits, then "model", the sum
/// over all layers. Error(out_of_memory) with both figures before anything is made. False when stopped.
bool run_layer(const LayerSettings& settings, const std::function<bool()>& stopped,
               const std::function<void(const Record&)>& sink);
std::vector<TableColumn> layer_columns();

}  // namespace minke::cli
