// Replies as Ollama's: one JSON object a line, or one alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "api/answer.h"

namespace minke::api {

enum class OllamaKind { chat, generate };

/// `load_seconds`: that the request waited for the model to be loaded.
std::unique_ptr<Stream> make_ollama_stream(std::unique_ptr<Generation> generation, OllamaKind kind, std::string model,
                                           bool lines, double load_seconds);

/// What a request without messages or a prompt is answered with: the model is loaded or unloaded, as `reason` says.
boost::json::object ollama_empty(OllamaKind kind, std::string_view model, std::string_view reason);
/// A line of a reply with nothing in it.
std::string ollama_piece(OllamaKind kind, std::string_view model);

/// "2026-11-22T20:00:00Z".
std::string ollama_time(std::int64_t seconds);
/// In nanoseconds.
std::int64_t ollama_duration(double seconds);

}  // namespace minke::api
