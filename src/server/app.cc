#include "server/app.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <exception>
#include <system_error>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "api/json_text.h"
#include "api/loading_stream.h"
#include "api/reply_format.h"
#include "base/cat.h"
#include "base/quote.h"

namespace minke::server {
namespace {

using api::ApiError;
using api::Fault;
using api::Response;
namespace json = boost::json;

constexpr std::size_t kMaxRequestId = 128;
constexpr std::size_t kLoggedPath = 200;
/// Nobody's client waits longer before it tries again.
constexpr double kMostRetrySeconds = 600;
/// Bytes of requests that wait for a model that is being loaded.
constexpr std::size_t kMostLateBytes = std::size_t{256} << 20;

bool is_plain_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestId && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
           c == '.';
  });
}

/// Of a path that is no route, too, for the shape of its error.
api::Dialect dialect_of(std::string_view path) {
  if (path.starts_with("/v1/messages") || path.starts_with("/anthropic")) return api::Dialect::anthropic;
  if (path.starts_with("/api/")) return api::Dialect::ollama;
  return path.starts_with("/v1") ? api::Dialect::openai : api::Dialect::deepseek;
}

/// A reply that holds its place among the requests.
class AdmittedStream final : public api::WrappedStream {
 public:
  AdmittedStream(std::unique_ptr<api::Stream> stream, std::unique_ptr<FairPlaces::Ticket> ticket)
      : WrappedStream(std::move(stream)), ticket_(std::move(ticket)) {}
  ~AdmittedStream() override { end(); }
  AdmittedStream(const AdmittedStream&) = delete;
  AdmittedStream& operator=(const AdmittedStream&) = delete;

  State poll(std::string& out) override {
    const State state = WrappedStream::poll(out);
    // Nothing is computed for it any more: whoever is slow to read its end must not hold the place.
    if (state == State::done || state == State::broken) ticket_.reset();
    return state;
  }

 private:
  std::unique_ptr<FairPlaces::Ticket> ticket_;
};

/// Refused where it is not understood, so that nobody relies on what was not promised.
bool wants_resumable(const HttpRequest& request) {
  const std::string* given = request.header("x-minke-resumable");
  if (given == nullptr || *given == "0") return false;
  if (*given == "1") return true;
  throw ApiError(Fault::invalid, base::cat("x-minke-resumable: expected 0 or 1, got ", base::quote_name(*given)),
                 "x-minke-resumable");
}

/// What a route's function makes of a call.
api::Answer answer_of(const api::Service& service, Action action, const api::Call& call) {
  switch (action) {
    case Action::chat:
      return service.chat_completions(call);
    case Action::completions:
      return service.completions(call);
    case Action::embeddings:
      return service.embeddings(call);
    case Action::responses:
      return service.responses(call);
    case Action::ollama_embed:
      return service.ollama_embed(call);
    case Action::messages:
      return service.messages(call);
    case Action::ollama_chat:
      return service.ollama_chat(call);
    case Action::ollama_generate:
      return service.ollama_generate(call);
    case Action::tokenize:
      return service.tokenize(call);
    case Action::detokenize:
      return service.detokenize(call);
    case Action::count_tokens:
      return service.count_tokens(call);
    default:
      break;
  }
  throw ApiError(Fault::internal, "a route without an action");
}

/// Those that compute something, and take a place.
bool is_reply(Action action) {
  return action != Action::tokenize && action != Action::detokenize && action != Action::count_tokens;
}

bool is_quick(Action action) {
  switch (action) {
    case Action::chat:
    case Action::completions:
    case Action::embeddings:
    case Action::responses:
    case Action::tokenize:
    case Action::detokenize:
    case Action::messages:
    case Action::count_tokens:
    case Action::ollama_chat:
    case Action::ollama_generate:
    case Action::ollama_embed:
    case Action::ollama_show:
    case Action::index:  // these look into the store
    case Action::models:
    case Action::model:
    case Action::ollama_tags:
      return false;
    case Action::health:
    case Action::ready:
    case Action::metrics:
    case Action::balance:
    case Action::ollama_version:
    case Action::ollama_running:
    case Action::resume:
    case Action::forget:
      break;
  }
  return true;
}

/// The model that the server was told to serve is there. One that was told none is ready for any.
bool is_ready(const api::Service& service, const std::vector<api::ModelStatus>& models) {
  const std::string first = service.pool().source().preferred();
  // Unloaded later on, it is loaded again when it is asked for.
  return first.empty() || std::none_of(models.begin(), models.end(), [&](const api::ModelStatus& one) {
           return one.offer.name == first && one.state == api::ModelState::loading;
         });
}

void add_status(const api::Model& model, const api::GeneratorStatus& status, json::object& out) {
  out["description"] = api::json_bytes(model.description);
  out["steps"] = status.steps;
  out["last_step_age"] = status.last_step_age;
  out["running"] = status.running;
  out["waiting"] = status.waiting;
}

/// DeepSeek's clients show it. Nothing is charged for, so there is always enough.
Response balance() {
  const json::object info{
      {"currency", "USD"}, {"total_balance", "0.00"}, {"granted_balance", "0.00"}, {"topped_up_balance", "0.00"}};
  return {.body = json::serialize(json::object{{"is_available", true}, {"balance_infos", json::array{info}}})};
}

}  // namespace

App::App(AppOptions options)
    : options_(std::move(options)),
      access_(options_.access),
      places_(options_.places),
      resumable_(options_.resumable) {}

void App::serve(std::shared_ptr<const api::Service> service) {
  // What still runs does so on the model that goes.
  if (!service) resumable_.clear();
  const std::lock_guard lock(mutex_);
  service_ = std::move(service);
}

std::shared_ptr<const api::Service> App::service() const {
  const std::lock_guard lock(mutex_);
  return service_;
}

HttpHandler::Admission App::admit(HttpRequest& request) {
  const std::string* given = request.header("x-request-id");
  request.id = given != nullptr && is_plain_id(*given) ? *given : api::random_id("req_");
  Admission admission;
  const api::Dialect dialect = dialect_of(request.path);
  try {
    access_.check_site(request);
    const bool asks_leave = request.method == "OPTIONS" && access_.allowed_origin(request);
    if (asks_leave) {
      admission.refusal = preflight();
      return admission;
    }
    const Match match = find_route(request.method, request.path);
    // Whoever has no key is told nothing about the routes.
    if (match.route == nullptr || match.route->scope != Scope::open) request.identity = access_.identify(request);
    if (match.route == nullptr) {
      if (match.allowed.empty()) throw ApiError(Fault::unknown_route, "there is no such route; GET / lists them");
      throw ApiError(Fault::wrong_method, base::cat("this route takes ", match.allowed));
    }
    admission.quick = is_quick(match.route->action);
    admission.max_body = match.route->method == "POST" ? options_.max_body : 0;
  } catch (const ApiError& error) {
    admission.refusal = error_response(error, dialect);
  }
  return admission;
}

Response App::preflight() const {
  Response response{.status = 200, .content_type = "text/plain", .body = {}};
  response.headers = {{"Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS"},
                      {"Access-Control-Allow-Headers",
                       "authorization, content-type, x-api-key, x-request-id, anthropic-version, anthropic-beta, "
                       "x-minke-resumable, last-event-id"},
                      {"Access-Control-Max-Age", "600"}};
  return response;
}

api::Answer App::answer(const HttpRequest& request, std::function<void()> notify) {
  const api::Dialect dialect = dialect_of(request.path);
  try {
    return dispatch(request, find_route(request.method, request.path), std::move(notify));
  } catch (const ApiError& error) {
    return error_response(error, dialect);
  } catch (const base::Error& error) {
    return error_response(ApiError::from(error), dialect);
  } catch (const std::exception& error) {
    return error_response(ApiError(Fault::internal, base::cat("internal error: ", error.what())), dialect);
  }
}

api::Answer App::dispatch(const HttpRequest& request, const Match& match, std::function<void()>&& notify) {
  const Route& route = *match.route;
  const std::shared_ptr<const api::Service> service = this->service();
  switch (route.action) {
    case Action::index:
      return index_page(request, service.get(), options_.version);
    case Action::health:
      return health(false);
    case Action::ready:
      return health(true);
    case Action::ollama_version:
      return Response{.body = json::serialize(json::object{{"version", api::json_text(options_.version)}})};
    case Action::balance:
      return balance();
    case Action::metrics: {
      const auto models = service ? service->pool().status() : std::vector<api::ModelStatus>();
      const bool ready = service && is_ready(*service, models);
      return Response{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                      .body = metrics_.text(models, ready, options_.connections ? options_.connections() : 0)};
    }
    case Action::resume:
      return resume(request, match.name, std::move(notify));
    case Action::forget:
      return forget(request, match.name);
    default:
      break;
  }
  if (!service) throw ApiError(Fault::not_ready, "the server is still starting");
  std::shared_ptr<ResumableStreams::Waker> waker;
  if (wants_resumable(request)) {
    waker = std::make_shared<ResumableStreams::Waker>(std::move(notify));
    notify = [waker] { waker->wake(); };
  }
  const api::Call call{.dialect = route.dialect,
                       .body = request.body,
                       .identity = {request.identity},
                       .notify = std::move(notify),
                       .patient = request.patient};
  switch (route.action) {
    case Action::models:
      return service->models(route.dialect);
    case Action::model:
      return service->model(match.name, route.dialect);
    case Action::ollama_tags:
      return service->ollama_tags();
    case Action::ollama_running:
      return service->ollama_running();
    case Action::ollama_show:
      return service->ollama_show(call);
    default:
      break;
  }
  api::Answer answer = start_reply(request, service, route, call);
  auto* stream = std::get_if<std::unique_ptr<api::Stream>>(&answer);
  if (waker && stream != nullptr) *stream = resumable_.add(request.identity, std::move(*stream), std::move(waker));
  return answer;
}

api::Answer App::resume(const HttpRequest& request, const std::string& id, std::function<void()>&& notify) {
  // A HEAD would cut off whoever reads.
  if (request.method != "GET") throw ApiError(Fault::wrong_method, "this route takes GET, DELETE");
  std::uint64_t last = 0;
  if (const std::string* given = request.header("last-event-id"); given != nullptr && !given->empty()) {
    const auto [end, error] = std::from_chars(given->data(), given->data() + given->size(), last);
    if (error != std::errc() || end != given->data() + given->size()) {
      throw ApiError(Fault::invalid, base::cat("Last-Event-ID: expected a number, got ", base::quote_name(*given)),
                     "Last-Event-ID");
    }
  }
  return resumable_.resume(request.identity, id, last, std::move(notify));
}

Response App::forget(const HttpRequest& request, const std::string& id) {
  if (!resumable_.forget(request.identity, id)) throw ApiError(Fault::unknown_route, "there is no such stream");
  return {.body = json::serialize(json::object{{"id", api::json_bytes(id)}, {"deleted", true}})};
}

api::Answer App::start_reply(const HttpRequest& request, const std::shared_ptr<const api::Service>& service,
                             const Route& route, const api::Call& call) {
  std::unique_ptr<FairPlaces::Ticket> ticket;
  if (is_reply(route.action)) {
    FairPlaces::Entry entry = places_.enter(request.identity);
    if (!entry.ticket) {
      ApiError error =
          entry.full ? ApiError(Fault::overloaded, "as much runs and waits already as may; try again later")
                     : ApiError(Fault::rate_limited, "others wait, and this key has its share of what runs and waits");
      error.set_retry_after(entry.retry_seconds);
      throw error;
    }
    ticket = std::move(entry.ticket);
  }
  api::Answer answer;
  try {
    answer = answer_of(*service, route.action, call);
  } catch (const api::ModelAbsent& absent) {
    answer = when_loaded(service, route, call, absent);
  }
  if (auto* stream = std::get_if<std::unique_ptr<api::Stream>>(&answer); stream != nullptr && ticket) {
    *stream = std::make_unique<AdmittedStream>(std::move(*stream), std::move(ticket));
  }
  return answer;
}

api::Answer App::when_loaded(const std::shared_ptr<const api::Service>& service, const Route& route,
                             const api::Call& call, const api::ModelAbsent& absent) {
  const std::size_t bytes = call.body.size();
  if (late_bytes_->fetch_add(bytes) > kMostLateBytes) {
    late_bytes_->fetch_sub(bytes);
    throw ApiError(Fault::overloaded, "too much waits for models that are being loaded; try again later");
  }
  const auto* const copy = [&]() -> const std::string* {
    try {
      return new std::string(call.body);
    } catch (...) {
      late_bytes_->fetch_sub(bytes);
      throw;
    }
  }();
  const std::shared_ptr<const std::string> body(copy, [held = late_bytes_, bytes](const std::string* text) {
    delete text;
    held->fetch_sub(bytes);
  });
  api::Call later = call;
  later.body = *body;
  return api::make_loading_stream(
      service->pool(), absent,
      {.call = std::move(later), .body = body, .answer = [service, action = route.action](const api::Call& again) {
         return answer_of(*service, action, again);
       }});
}

Response App::error_response(const ApiError& error, api::Dialect dialect) const {
  Response response{.status = error.status(dialect), .body = error.body(dialect)};
  if (error.fault() == Fault::overloaded || error.fault() == Fault::rate_limited || error.fault() == Fault::not_ready) {
    const double wait = error.retry_after() > 0 ? error.retry_after() : estimated_wait_.load(std::memory_order_relaxed);
    const double seconds = std::clamp(std::ceil(wait), 1.0, kMostRetrySeconds);
    response.headers.emplace_back("Retry-After", base::cat(static_cast<int>(seconds)));
  }
  if (error.fault() == Fault::no_key) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

Response App::health(bool must_be_ready) const {
  const std::shared_ptr<const api::Service> service = this->service();
  const auto models = service ? service->pool().status() : std::vector<api::ModelStatus>();
  const bool ready = service && is_ready(*service, models);
  json::object body;
  Response response;
  bool stuck = false;
  json::array list;
  for (const api::ModelStatus& one : models) {
    json::object entry{{"name", api::json_bytes(one.offer.name)}, {"state", api::json_text(to_string(one.state))}};
    if (one.load) entry["progress"] = api::json_text(one.load->text(one.offer.name));
    if (one.model) {
      const api::GeneratorStatus status = one.model->generator->status();
      stuck = stuck || status.stuck;
      add_status(*one.model, status, entry);
      // As long as there is one model its figures are the server's.
      if (models.size() == 1) add_status(*one.model, status, body);
    }
    list.emplace_back(std::move(entry));
  }
  if (models.size() == 1 && models.front().model) body["model"] = api::json_bytes(models.front().offer.name);
  body["status"] = !ready ? "loading" : stuck ? "stuck" : "ok";
  body["models"] = std::move(list);
  body["version"] = api::json_text(options_.version);
  if (stuck || (must_be_ready && !ready)) response.status = 503;
  response.body = json::serialize(body);
  return response;
}

std::vector<std::pair<std::string, std::string>> App::headers(const HttpRequest& request) {
  std::vector<std::pair<std::string, std::string>> result;
  if (!request.id.empty()) {
    result.emplace_back("X-Request-Id", request.id);
    // Anthropic's name, which its clients read.
    if (dialect_of(request.path) == api::Dialect::anthropic) result.emplace_back("Request-Id", request.id);
  }
  result.emplace_back("X-Content-Type-Options", "nosniff");
  if (const auto origin = access_.allowed_origin(request)) {
    result.emplace_back("Access-Control-Allow-Origin", *origin);
    result.emplace_back("Access-Control-Expose-Headers", "X-Request-Id, X-Minke-Stream, Retry-After");
    result.emplace_back("Vary", "Origin");
  }
  return result;
}

Response App::unreadable(int status, std::string_view why) {
  const Fault fault = status == 503 ? Fault::overloaded : status == 413 ? Fault::too_large : Fault::malformed;
  Response response = error_response(ApiError(fault, std::string(why)), api::Dialect::openai);
  response.status = status;
  return response;
}

Response App::failure(const HttpRequest& request, const ApiError& error) {
  return error_response(error, dialect_of(request.path));
}

void App::watched(const api::Stream& stream) {
  // Those that run already say nothing of the queue.
  if (stream.estimated_wait() > 0) estimated_wait_.store(stream.estimated_wait(), std::memory_order_relaxed);
}

void App::tick() {
  for (const ResumableStreams::Bill& bill : resumable_.tick()) metrics_.count_reply(bill.model, bill.spent);
}

void App::finished(const HttpRequest& request, const HttpRecord& record) {
  const Match match = find_route(request.method, request.path);
  metrics_.count_request(match.route != nullptr ? match.route->path : "other", record.status, record.seconds);
  if (record.stream != nullptr) metrics_.count_reply(record.stream->model(), record.stream->spent());
  if (!options_.log) return;
  json::object line{{"id", api::json_bytes(request.id)},
                    {"peer", api::json_bytes(request.peer)},
                    {"identity", api::json_bytes(request.identity)},
                    {"method", api::json_bytes(request.method.substr(0, kLoggedPath))},
                    {"path", api::json_bytes(request.path.substr(0, kLoggedPath))},
                    {"status", record.status},
                    {"seconds", record.seconds},
                    {"bytes", record.bytes_out}};
  if (record.stream != nullptr) {
    const api::Spent& spent = record.stream->spent();
    line["model"] = api::json_bytes(record.stream->model());
    line["prompt_tokens"] = spent.prompt_tokens;
    line["cached_tokens"] = spent.cached_tokens;
    line["output_tokens"] = spent.output_tokens;
    line["queue_seconds"] = spent.queue_seconds;
    if (spent.first_token) line["first_token_seconds"] = *spent.first_token;
    if (const auto& error = record.stream->error()) line["error"] = api::json_bytes(error->message());
    if (!record.stream->warning().empty()) line["warning"] = api::json_bytes(record.stream->warning());
  }
  options_.log(json::serialize(line));
}

}  // namespace minke::server
