// What the services' files share.
#pragma once

#include <boost/json/object.hpp>

#include "api/request_fields.h"
#include "api/service.h"

namespace minke::api {

Response json_response(const boost::json::object& body);

/// Without the prompt's tokens. Throws ApiError.
engine::Request engine_request(const Model& model, const CommonRequest& common, text::Thinking thinking,
                               const Identity& identity);

}  // namespace minke::api
