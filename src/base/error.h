// Typed errors. Bad input, bad files and I/O failures travel as Error to the edge
// (the CLI, later the API), where they become an exit status or a protocol error object.
// Programming errors are assertions, never Errors.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "base/cat.h"

namespace minke::base {

enum class ErrorCode {
  invalid_argument,  ///< the caller asked for something that makes no sense
  not_found,         ///< a named thing (model, file, tensor) does not exist
  io,                ///< the operating system refused: message has the reason
  format,            ///< a file breaks its own format: truncated, out of range, contradictory
  unsupported,       ///< well-formed, but this program does not implement it
  out_of_memory,     ///< would not fit: estimated before allocating
  context_overflow,  ///< more tokens than the context holds
  numeric,           ///< NaN or infinity where a finite number is needed
  cancelled,         ///< stopped by the user
  overloaded,        ///< too much is waiting already: later it may go
};

/// Stable lower-case name of a code, e.g. "context_overflow".
std::string_view to_string(ErrorCode code);

/// What went wrong (`message`: file, field, offset, expected, got) and what to do (`hint`, may be empty).
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message, std::string hint = {})
      : code_(code), message_(std::move(message)), hint_(std::move(hint)) {}

  ErrorCode code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  const std::string& hint() const noexcept { return hint_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  std::string message_;
  std::string hint_;
};

/// Error from errno: "PATH: cannot ACTION: strerror".
Error io_error(std::string_view path, std::string_view action, int errno_value);

}  // namespace minke::base
