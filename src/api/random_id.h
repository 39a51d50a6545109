// Ids that nobody can guess.
#pragma once

#include <string>
#include <string_view>

namespace minke::api {

/// `prefix` and 128 random bits, in 32 digits.
std::string random_id(std::string_view prefix);

}  // namespace minke::api
