// What a tiled file takes over from its source besides the weights.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "formats/checkpoint.h"

namespace minke::formats {

/// Names (formats/tiled.h) and texts, verbatim: the JSON files and the template of a safetensors folder, or a GGUF's
/// metadata. Error(format) for one beyond its limit, io.
std::vector<std::pair<std::string, std::string>> texts_for_tiled(const Checkpoint& source);

}  // namespace minke::formats
