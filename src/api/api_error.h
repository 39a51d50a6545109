// What a request is answered with when it cannot be served, in the shape that OpenAI's and DeepSeek's clients read.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "api/dialect.h"
#include "base/error.h"

namespace minke::api {

enum class Fault {
  malformed,         ///< not JSON, or a field of another type than it has
  invalid,           ///< well-formed, but a value that cannot be
  unsupported,       ///< known, and not done here: the message has the reason
  context_overflow,  ///< the prompt is longer than the context
  no_key,            ///< none given, or an unknown one
  forbidden,         ///< the Host or Origin that it came with
  unknown_model,
  unknown_route,
  wrong_method,
  too_large,     ///< the body
  overloaded,    ///< as much waits as may wait
  rate_limited,  ///< as much of this identity's as is its share
  not_ready,     ///< the model is still being loaded, or the server is stopping
  internal,
};

/// Thrown while a request is read or started; becomes the response's status and its error object.
class ApiError : public std::exception {
 public:
  /// `param`: the field it is about ("messages[0].content"), empty when it is about none.
  ApiError(Fault fault, std::string message, std::string param = {})
      : fault_(fault), message_(std::move(message)), param_(std::move(param)) {}
  /// What the layers below said, hint included.
  static ApiError from(const base::Error& error);

  Fault fault() const noexcept { return fault_; }
  const std::string& message() const noexcept { return message_; }
  const std::string& param() const noexcept { return param_; }
  /// Seconds after which to try again; 0: not known.
  double retry_after() const noexcept { return retry_after_; }
  void set_retry_after(double seconds) noexcept { retry_after_ = seconds; }
  const char* what() const noexcept override { return message_.c_str(); }

  /// HTTP status. DeepSeek's own answers differ from OpenAI's in two: 422 for a field of the wrong type, 400 for a
  /// model that does not exist.
  int status(Dialect dialect) const noexcept;
  /// {"error":{"message","type","param","code"}}; Anthropic's: {"type":"error","error":{"type","message"}}; Ollama's:
  /// {"error": message}.
  std::string body(Dialect dialect) const;

 private:
  Fault fault_;
  std::string message_;
  std::string param_;
  double retry_after_ = 0;
};

}  // namespace minke::api
