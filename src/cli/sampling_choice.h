// Which sampling parameters a reply gets: flags, else the checkpoint's own, else the family's advice.
#pragma once

#include <optional>
#include <string>

#include "cli/options.h"
#include "engine/sampling.h"
#include "models/config.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace minke::cli {

struct SamplingChoice {
  engine::SamplingParams params;
  std::string source;  ///< where the defaults came from, for people
};

/// `encoding`: unset for raw text, which has no family. `tokenizer`: for DRY's breakers, which stay unset without it.
SamplingChoice choose_sampling(const SamplingFlags& flags, const models::SamplingDefaults& defaults,
                               std::optional<text::Encoding> encoding, text::Thinking thinking,
                               const text::Tokenizer* tokenizer = nullptr);

/// "temperature 0.6, top-p 0.95": what is off is left out, and so is the seed.
std::string sampling_text(const engine::SamplingParams& params);

}  // namespace minke::cli
