// A secret of this installation: what others can neither guess nor read.
#pragma once

#include <string>

namespace minke::cli {

/// The content of `folder`/secret: 64 hexadecimal digits, drawn by the system when the file is not there yet (with its
/// folder). Several processes that start at once get the same. Error(io); Error(invalid_argument) when the file is not
/// this user's alone; Error(format) when it holds something else.
std::string installation_secret(const std::string& folder);

}  // namespace minke::cli
