// What the services' files share.
#pragma once

#include <boost/json/object.hpp>

#include "api/request_fields.h"
#include "api/service.h"

namespace minke::api {

Response json_response(const boost::json::object& body);

/// The answer, and the model that it needs as long as it lasts. `warning`: Stream::warning.
Answer held(std::shared_ptr<const Model> model, std::unique_ptr<Stream> stream, std::string warning = {});

/// Without the prompt's tokens. `tools`: what is offered, if anything; `continues`: the prompt begins the reply. Throws
/// ApiError and TakesLong.
engine::Request engine_request(const Model& model, const CommonRequest& common, text::Thinking thinking,
                               const Call& call, const ToolRequest* tools = nullptr, bool continues = false);

}  // namespace minke::api
