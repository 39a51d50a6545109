// API keys from flags and files.
#pragma once

#include <string>
#include <vector>

#include "server/access.h"

namespace minke::cli {

/// `keys`: each KEY or NAME:KEY. `file`: the same, one a line; empty lines and those that begin with '#' are skipped;
/// empty: no file. A key without a name is called "key-N" by its place. Error(invalid_argument) for one that is too
/// short to be a secret, and for a name that is there twice.
std::vector<server::ApiKey> read_api_keys(const std::vector<std::string>& keys, const std::string& file);

}  // namespace minke::cli
