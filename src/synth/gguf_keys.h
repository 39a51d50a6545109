// The metadata of a GGUF, from a configuration: what llama.cpp's converter writes.
#pragma once

#include <string>
#include <vector>

#include "formats/gguf_writer.h"
#include "models/config.h"
#include "synth/recipe.h"

namespace minke::synth {

/// With a tokenizer of no tokens (tokenizer.ggml.model "none"). Error(unsupported) where GGUF has no key for what the
/// configuration says, naming it.
std::vector<formats::GgufEntry> gguf_keys(const models::DecoderConfig& config, const Recipe& recipe,
                                          const std::string& name);

}  // namespace minke::synth
