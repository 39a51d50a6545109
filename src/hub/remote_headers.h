// What can be told of a model before it is fetched: its files' headers, by range requests.
#pragma once

#include <cstdint>
#include <filesystem>

#include "hub/model_choice.h"

namespace minke::hub {

struct RemoteHeaders {
  std::filesystem::path path;  ///< for Checkpoint::open; weights read as zeros
  std::uint64_t fetched = 0;   ///< bytes
};

/// Makes files in `folder` that are as long as those of `variant` and have their headers; the weights are holes that
/// take no room on the disk. Of safetensors config.json and the other small texts come with them, not tokenizer.json;
/// of more than 16 safetensors files the configuration alone. At most 64 MiB of each GGUF and 32 MiB of each
/// safetensors file are fetched, and of a header that is wrong in itself 4 MiB. Errors: those of HubClient::read,
/// parse_gguf and parse_safetensors; io.
RemoteHeaders fetch_headers(const HubClient& hub, const Repository& repo, const ModelVariant& variant,
                            const std::filesystem::path& folder);

}  // namespace minke::hub
