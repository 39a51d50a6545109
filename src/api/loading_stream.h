// The answer to a request whose model is being loaded: it waits, and goes on as the model's own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "api/answer.h"
#include "api/model_pool.h"
#include "api/service.h"

namespace minke::api {

struct LateCall {
  Call call;                                ///< its body is `body`
  std::shared_ptr<const std::string> body;  ///< let go of when the answer has begun
  /// Called on a thread of the pool with `call`, the model in it and patient. Throws as Service's functions.
  std::function<Answer(const Call&)> answer;
};

/// Waits for the model that `absent` names, in `pool`. The events' kind of what it says meanwhile: comments, or
/// `absent.piece`. Throws ApiError.
std::unique_ptr<Stream> make_loading_stream(ModelPool& pool, const ModelAbsent& absent, LateCall late);

}  // namespace minke::api
