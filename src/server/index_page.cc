// GET /: what this is and how to use it, for a person who opened the address.
#include <string>

#include "base/cat.h"
#include "server/app.h"

namespace minke::server {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

std::string examples(std::string_view base_url, std::string_view model) {
  return base::cat(
      "curl ", base_url, "/v1/chat/completions -H 'Content-Type: application/json' -d '{\n  \"model\": \"", model,
      "\",\n  \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]\n}'\n\n"
      "from openai import OpenAI\n"
      "client = OpenAI(base_url=\"",
      base_url,
      "/v1\", api_key=\"none\")\n"
      "reply = client.chat.completions.create(model=\"",
      model,
      "\",\n                                       messages=[{\"role\": \"user\", \"content\": \"Hello\"}])\n"
      "print(reply.choices[0].message.content)\n");
}

std::string route_list() {
  std::string text;
  for (const Route& route : routes())
    text += base::cat(route.method, " ", route.path, route.path.size() > 1 && route.path.ends_with('/') ? "NAME" : "",
                      "\n");
  return text;
}

}  // namespace

api::Response index_page(const HttpRequest& request, const api::Service* service, std::string_view version) {
  const std::string* host = request.header("host");
  const std::string base_url =
      base::cat(request.secure ? "https://" : "http://", host == nullptr ? "127.0.0.1:6465" : *host);
  std::string model = "MODEL", state = "The server is still starting.";
  if (service != nullptr) {
    const std::string name = service->pool().default_name();
    if (!name.empty()) model = name;
    state = base::cat(model, " is loaded when it is asked for.");
    for (const api::ModelStatus& one : service->pool().status()) {
      if (one.offer.name != name) continue;
      state = one.model ? base::cat(model, ": ", one.model->description) : one.load ? one.load->text(model) : state;
    }
  }
  const std::string* accepts = request.header("accept");
  if (accepts == nullptr || accepts->find("text/html") == std::string::npos) {
    return {.content_type = "text/plain; charset=utf-8",
            .body = base::cat("Minke ", version, ": an API server for language models.\n", state, "\n\n",
                              examples(base_url, model), "\n", route_list())};
  }
  api::Response response{.content_type = "text/html; charset=utf-8"};
  response.headers = {
      {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}};
  response.body = base::cat(
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Minke</title>"
      "<style>body{font:16px/1.5 sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
      "pre{background:#f2f2f2;padding:1rem;overflow:auto}</style>"
      "<h1>Minke ",
      escaped(version),
      "</h1><p>An API server for language models: OpenAI's and DeepSeek's clients work with it.</p><p>", escaped(state),
      "</p><h2>Use it</h2><pre>", escaped(examples(base_url, model)), "</pre><h2>Routes</h2><pre>",
      escaped(route_list()), "</pre></html>");
  return response;
}

}  // namespace minke::server
