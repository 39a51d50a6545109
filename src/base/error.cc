#include "base/error.h"

#include <system_error>

namespace minke::base {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::io:
      return "io";
    case ErrorCode::format:
      return "format";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::out_of_memory:
      return "out_of_memory";
    case ErrorCode::context_overflow:
      return "context_overflow";
    case ErrorCode::numeric:
      return "numeric";
    case ErrorCode::cancelled:
      return "cancelled";
    case ErrorCode::overloaded:
      return "overloaded";
  }
  return "unknown";
}

Error io_error(std::string_view path, std::string_view action, int errno_value) {
  const ErrorCode code = errno_value == ENOENT ? ErrorCode::not_found : ErrorCode::io;
  return Error(code, cat(path, ": cannot ", action, ": ", std::generic_category().message(errno_value)));
}

}  // namespace minke::base
