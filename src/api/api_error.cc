#include "api/api_error.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "api/json_text.h"
#include "base/cat.h"

namespace minke::api {
namespace {

struct FaultNames {
  int status;
  std::string_view type, code;
};

FaultNames names_of(Fault fault) noexcept {
  switch (fault) {
    case Fault::malformed:
      return {400, "invalid_request_error", "invalid_type"};
    case Fault::invalid:
      return {400, "invalid_request_error", "invalid_value"};
    case Fault::unsupported:
      return {400, "invalid_request_error", "unsupported_parameter"};
    case Fault::context_overflow:  // coding agents look for this code and shorten their history
      return {400, "invalid_request_error", "context_length_exceeded"};
    case Fault::no_key:
      return {401, "authentication_error", "invalid_api_key"};
    case Fault::forbidden:
      return {403, "permission_error", "forbidden"};
    case Fault::unknown_model:
      return {404, "invalid_request_error", "model_not_found"};
    case Fault::unknown_route:
      return {404, "invalid_request_error", "unknown_url"};
    case Fault::wrong_method:
      return {405, "invalid_request_error", "method_not_allowed"};
    case Fault::too_large:
      return {413, "invalid_request_error", "request_too_large"};
    case Fault::overloaded:
      return {503, "server_error", "overloaded"};
    case Fault::rate_limited:
      return {429, "rate_limit_error", "rate_limit_exceeded"};
    case Fault::not_ready:
      return {503, "server_error", "not_ready"};
    case Fault::internal:
      break;
  }
  return {500, "server_error", "internal_error"};
}

std::string_view anthropic_type(Fault fault) noexcept {
  switch (fault) {
    case Fault::no_key:
      return "authentication_error";
    case Fault::forbidden:
      return "permission_error";
    case Fault::unknown_model:
    case Fault::unknown_route:
      return "not_found_error";
    case Fault::too_large:
      return "request_too_large";
    case Fault::rate_limited:
      return "rate_limit_error";
    case Fault::overloaded:
    case Fault::not_ready:
      return "overloaded_error";
    case Fault::internal:
      return "api_error";
    case Fault::malformed:
    case Fault::invalid:
    case Fault::unsupported:
    case Fault::context_overflow:
    case Fault::wrong_method:
      break;
  }
  return "invalid_request_error";
}

Fault fault_of(base::ErrorCode code) noexcept {
  switch (code) {
    case base::ErrorCode::invalid_argument:
      return Fault::invalid;
    case base::ErrorCode::format:
      return Fault::malformed;
    case base::ErrorCode::unsupported:
      return Fault::unsupported;
    case base::ErrorCode::context_overflow:
      return Fault::context_overflow;
    case base::ErrorCode::out_of_memory:
    case base::ErrorCode::overloaded:
      return Fault::overloaded;
    case base::ErrorCode::cancelled:
      return Fault::not_ready;
    case base::ErrorCode::not_found:
    case base::ErrorCode::io:
    case base::ErrorCode::numeric:
      break;
  }
  return Fault::internal;
}

}  // namespace

ApiError ApiError::from(const base::Error& error) {
  return ApiError(fault_of(error.code()),
                  error.hint().empty() ? error.message() : base::cat(error.message(), " (", error.hint(), ")"));
}

int ApiError::status(Dialect dialect) const noexcept {
  if (dialect == Dialect::deepseek && fault_ == Fault::malformed) return 422;
  if (dialect == Dialect::deepseek && fault_ == Fault::unknown_model) return 400;
  return names_of(fault_).status;
}

std::string ApiError::body(Dialect dialect) const {
  if (dialect == Dialect::ollama) return boost::json::serialize(boost::json::object{{"error", json_bytes(message_)}});
  if (dialect == Dialect::anthropic) {
    return boost::json::serialize(boost::json::object{
        {"type", "error"},
        {"error",
         boost::json::object{{"type", json_text(anthropic_type(fault_))}, {"message", json_bytes(message_)}}}});
  }
  const FaultNames names = names_of(fault_);
  boost::json::object error;
  error["message"] = json_bytes(message_);
  error["type"] = json_text(names.type);
  error["param"] = param_.empty() ? boost::json::value(nullptr) : json_bytes(param_);
  error["code"] = json_text(names.code);
  return boost::json::serialize(boost::json::object{{"error", std::move(error)}});
}

}  // namespace minke::api
