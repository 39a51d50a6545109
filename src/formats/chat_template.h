// The chat template among a tokenizer's settings.
#pragma once

#include <string>

#include <boost/json/object.hpp>

namespace minke::formats {

/// The template of tokenizer_config.json: a string, or of a list of {name, template} the one named "default". Empty
/// when there is none. Error(format) names `path`.
std::string chat_template_of(const boost::json::object& config, const std::string& path);

}  // namespace minke::formats
