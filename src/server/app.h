// The server's program: routes, access, errors, metrics and the access log. HTTP is http_server's.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "api/service.h"
#include "server/access.h"
#include "server/fair_places.h"
#include "server/http.h"
#include "server/metrics.h"
#include "server/resumable.h"
#include "server/routes.h"

namespace minke::server {

struct AppOptions {
  AccessOptions access;
  std::size_t max_body = std::size_t{16} << 20;  ///< bytes: a million tokens of text are some five million
  ResumableOptions resumable;
  FairPlacesOptions places;  ///< shared among identities; without them the engine's queue decides
  std::string version;
  /// A line of JSON for each request, without line end; from the server's thread. No prompts, no keys.
  std::function<void(std::string_view line)> log;
  /// Open connections, for the metrics.
  std::function<std::size_t()> connections;
};

class App final : public HttpHandler {
 public:
  explicit App(AppOptions options);

  /// Until then requests for models are refused as not ready. From any thread; null, once nothing is served any
  /// more.
  void serve(std::shared_ptr<const api::Service> service);

  Admission admit(HttpRequest& request) override;
  api::Answer answer(const HttpRequest& request, std::function<void()> notify) override;
  std::vector<std::pair<std::string, std::string>> headers(const HttpRequest& request) override;
  api::Response unreadable(int status, std::string_view why) override;
  api::Response failure(const HttpRequest& request, const api::ApiError& error) override;
  void watched(const api::Stream& stream) override;
  void finished(const HttpRequest& request, const HttpRecord& record) override;
  void tick() override;

 private:
  api::Answer dispatch(const HttpRequest& request, const Match& match, std::function<void()>&& notify);
  api::Answer start_reply(const HttpRequest& request, const std::shared_ptr<const api::Service>& service,
                          const Route& route, const api::Call& call);
  api::Answer when_loaded(const std::shared_ptr<const api::Service>& service, const Route& route, const api::Call& call,
                          const api::ModelAbsent& absent);
  api::Answer resume(const HttpRequest& request, const std::string& id, std::function<void()>&& notify);
  api::Response forget(const HttpRequest& request, const std::string& id);
  api::Response error_response(const api::ApiError& error, api::Dialect dialect) const;
  api::Response health(bool must_be_ready) const;
  api::Response preflight() const;
  std::shared_ptr<const api::Service> service() const;

  AppOptions options_;
  Access access_;
  FairPlaces places_;
  ResumableStreams resumable_;
  Metrics metrics_;  // the server's thread's
  mutable std::mutex mutex_;
  std::shared_ptr<const api::Service> service_;
  /// Of bodies that wait for a model, in bytes.
  std::shared_ptr<std::atomic<std::size_t>> late_bytes_ = std::make_shared<std::atomic<std::size_t>>(0);
  std::atomic<double> estimated_wait_{0};  // seconds, of the request that waits longest, as last heard
};

/// What GET / shows: a page for a browser, else plain text.
api::Response index_page(const HttpRequest& request, const api::Service* service, std::string_view version);

}  // namespace minke::server
