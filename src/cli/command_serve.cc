// minke serve: the API server.
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "api/idle_time.h"
#include "api/model_pool.h"
#include "api/service.h"
#include "base/cat.h"
#include "base/error.h"
#include "base/fair_lock.h"
#include "cli/api_keys.h"
#include "cli/cache_flags.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/served_models.h"
#include "cli/text_format.h"
#include "cli/version.h"
#include "server/app.h"
#include "server/http_server.h"

namespace minke::cli {
namespace {

constexpr const char* kServerGroup = "The server";
constexpr const char* kModelsGroup = "Which models";
constexpr const char* kAccessGroup = "Who may ask";

struct ServeFlags {
  std::vector<std::string> models;
  std::string offer, keep_alive;
  std::size_t max_loaded = 0;
  server::HttpOptions http;
  std::vector<std::string> keys, aliases, hosts, origins;
  std::string key_file;
  bool anyone = false, quiet = false, no_log = false;
  std::size_t sequences = 16, queue = 256, cache_tokens = 0, drain_seconds = 30, max_body = std::size_t{16} << 20;
  EngineFlags engine;
  CacheFlags cache;
  ChatFlags chat;
};

void add_server_flags(CLI::App& app, ServeFlags& flags) {
  const auto option = [&app](const char* names, auto& value, const char* text, const char* type) {
    return app.add_option(names, value, text)->option_text(type)->group(kServerGroup);
  };
  option("--host", flags.http.host, "Address to listen on (default 127.0.0.1)", "ADDRESS");
  option("--port", flags.http.port, "Port (default 6465); 0: any free one", "N");
  option("--socket", flags.http.unix_socket, "Listen on a Unix socket of this name, not on a port", "PATH");
  option("--tls-cert", flags.http.tls_certificate,
         "Speak TLS (https) with the certificate in this PEM file; SIGHUP reads it again", "FILE");
  option("--tls-key", flags.http.tls_key, "The certificate's key, in PEM without a password", "FILE");
  option("--parallel", flags.sequences, "Most replies that are computed at once (default 16); others wait", "N")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1024}));
  option("--queue", flags.queue, "Most requests that wait (default 256); more are answered 503", "N")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 20U));
  option("--cache-tokens", flags.cache_tokens, "Tokens that the cache holds (default: what memory allows)", "N");
  option("--drain-seconds", flags.drain_seconds, "What runs at SIGTERM may take so long to end (default 30)", "N")
      ->check(CLI::Range(std::size_t{0}, std::size_t{86400}));
  option("--max-body", flags.max_body, "Largest request, e.g. 16MB (the default)", "SIZE")
      ->transform(CLI::AsSizeValue(true));
  app.add_flag("--no-access-log", flags.no_log, "Do not write a line for each request")->group(kServerGroup);
  app.add_flag("-q,--quiet", flags.quiet, "Only errors and the access log")->group(kServerGroup);
}

void add_models_flags(CLI::App& app, ServeFlags& flags) {
  const auto option = [&app](const char* names, auto& value, const char* text, const char* type) {
    return app.add_option(names, value, text)->option_text(type)->group(kModelsGroup);
  };
  option("--alias", flags.aliases, "Further names in the API, of the first MODEL or of the one that is said",
         "NAME[=MODEL],...")
      ->delimiter(',');
  option("--offer", flags.offer,
         "Which models may be asked for: those that are listed on the command line (the default if there are any), or "
         "all of the store",
         "listed|all")
      ->check(CLI::IsMember({"listed", "all"}));
  option(
      "--keep-alive", flags.keep_alive,
      "Unload models that nobody has used for so long: 5m, 1h30m, seconds, -1 for never (default: 5m, and never those "
      "on the command line)",
      "TIME");
  option("--max-loaded", flags.max_loaded, "Most models in memory at once (default: as many as there is room for)", "N")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1024}));
}

void add_access_flags(CLI::App& app, ServeFlags& flags) {
  const auto option = [&app](const char* names, auto& value, const char* text, const char* type) {
    return app.add_option(names, value, text)->option_text(type)->group(kAccessGroup);
  };
  option("--api-key", flags.keys, "Keys that may ask", "[NAME:]KEY,...")->delimiter(',');
  option("--api-key-file", flags.key_file, "The same from a file, one a line", "FILE");
  app.add_flag("--allow-anyone", flags.anyone, "Listen beyond this machine without any key")->group(kAccessGroup);
  option("--allowed-hosts", flags.hosts, "Further names by which browsers may reach this server", "NAME,...")
      ->delimiter(',');
  option("--cors-origins", flags.origins, "Web pages that may ask: https://chat.example, or *", "ORIGIN,...")
      ->delimiter(',');
}

server::AppOptions app_options(const ServeFlags& flags) {
  server::AppOptions options;
  options.access.keys = read_api_keys(flags.keys, flags.key_file);
  options.access.loopback = !flags.http.unix_socket.empty() || server::is_loopback(flags.http.host);
  options.access.hosts = flags.hosts;
  options.access.cors_origins = flags.origins;
  if (!options.access.loopback && options.access.keys.empty() && !flags.anyone) {
    throw UsageError(base::cat("listening on ", flags.http.host, " lets others use this server without a key"),
                     "give --api-key, or --allow-anyone if that is meant");
  }
  options.max_body = flags.max_body;
  options.places = {.places = flags.sequences + flags.queue, .at_once = flags.sequences};
  options.version = build_commit();
  if (!flags.no_log) options.log = [](std::string_view line) { note(base::cat(line, "\n")); };
  return options;
}

/// As many descriptors as the system lets this process have: a connection takes one.
void raise_descriptor_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void block_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

/// Serves on a thread of its own, so that /health answers while the model is loaded.
class ServerThread {
 public:
  explicit ServerThread(server::HttpServer& server) : server_(server) {
    server_.stop_on_signals();
    thread_ = std::thread([this] {
      try {
        server_.run();
      } catch (...) {
        thrown_ = std::current_exception();
      }
      ended_.store(true);
    });
  }
  ~ServerThread() {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }
  ServerThread(const ServerThread&) = delete;
  ServerThread& operator=(const ServerThread&) = delete;

  bool ended() const noexcept { return ended_.load(); }
  void wait() {
    thread_.join();
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  server::HttpServer& server_;
  std::atomic<bool> ended_{false};
  std::exception_ptr thrown_;
  std::thread thread_;
};

/// --cache-disk is meant for all models together.
void share_cache(engine::EngineOptions& options) {
  try {
    options.cache_shared = engine::open_cache_folder(options);
  } catch (const base::Error& error) {
    warn(base::cat("no cache on disk: ", error.message()));
    options.cache_folder.clear();
  }
}

engine::EngineOptions engine_options(const Session& session, const ServeFlags& flags, bool several) {
  engine::EngineOptions options = flags.engine.options(kernels::Numerics::fast);
  flags.cache.apply(session.environment, options);
  options.sequences = flags.sequences;
  options.queue = flags.queue;
  options.cache_tokens = flags.cache_tokens;
  options.on_stuck = [](double seconds) {
    warn(base::cat("a step of the model has taken ", static_cast<std::int64_t>(seconds), " s"));
  };
  if (!several) return options;
  options.turns = std::make_shared<base::FairLock>();
  if (!options.cache_folder.empty()) share_cache(options);
  return options;
}

std::shared_ptr<ServedModels> source_of(const Session& session, const ServeFlags& flags) {
  ServedModelsOptions options;
  options.models = flags.models;
  options.aliases = flags.aliases;
  options.all = flags.offer.empty() ? flags.models.empty() : flags.offer == "all";
  options.stay = flags.keep_alive.empty();
  options.chat = flags.chat;
  options.engine = engine_options(session, flags, options.all || flags.models.size() > 1);
  if (!options.all && flags.models.empty()) {
    throw UsageError("--offer listed, and no MODEL is listed", "name one, or let --offer all serve the store's");
  }
  return std::make_shared<ServedModels>(session.environment.store(), std::move(options));
}

api::PoolOptions pool_options(const ServeFlags& flags) {
  api::PoolOptions options;
  options.max_loaded = flags.max_loaded;
  options.memory = flags.engine.memory;
  if (flags.keep_alive.empty()) return options;
  const auto time = api::parse_idle_time(flags.keep_alive);
  if (!time) {
    throw UsageError(base::cat("--keep-alive: expected a time like 5m, 1h30m or 90, got ", flags.keep_alive), "");
  }
  options.keep_alive = *time;
  return options;
}

/// Waits until the first model is there, and shows how far it is. Null: the server was told to stop before. Throws what
/// the load did.
std::shared_ptr<const api::Model> load_first(const Session& session, api::ModelPool& pool, const api::Offer& offer,
                                             const ServerThread& thread, const std::function<void()>& begun) {
  const auto outcome = std::make_shared<std::promise<api::LoadOutcome>>();
  std::future<api::LoadOutcome> future = outcome->get_future();
  const auto load =
      pool.when_ready(offer, std::nullopt, [outcome](api::LoadOutcome came) { outcome->set_value(std::move(came)); });
  begun();
  Progress progress("loading", session.environment.stderr_terminal);
  while (future.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
    // There is nothing to finish.
    if (thread.ended()) return nullptr;
    const std::uint64_t total = load->total, done = load->done;
    if (total > 0) progress.update(done, total, base::cat(byte_text(done), " of ", byte_text(total)));
  }
  progress.clear();
  api::LoadOutcome came = future.get();
  if (came.error && !thread.ended()) throw *came.error;  // NOLINT(cert-err09-cpp,cert-err61-cpp): a copy, by value
  return std::move(came.model);
}

/// The other models that were named, as far as they may be in memory together.
void load_others(api::ModelPool& pool, const std::vector<api::Offer>& named, std::size_t max_loaded) {
  const std::size_t most = max_loaded == 0 ? named.size() : std::min(max_loaded, named.size());
  for (std::size_t i = 1; i < most; ++i) {
    pool.when_ready(named[i], std::nullopt, [name = named[i].name](const api::LoadOutcome& came) {
      if (came.error) warn(base::cat(name, ": ", came.error->message()));
    });
  }
}

/// `first`: null when none is loaded yet.
std::string greeting(const server::HttpServer& server, const ServeFlags& flags, const api::ModelPool& pool,
                     const api::Model* first) {
  constexpr std::size_t kMostNames = 8;
  const std::vector<api::Offer> offers = pool.source().offers();
  const std::string name = first != nullptr ? first->name : pool.default_name();
  std::string names;
  for (std::size_t i = 0; i < std::min(offers.size(), kMostNames); ++i) {
    names += base::cat(i == 0 ? "" : ", ", offers[i].name);
  }
  if (offers.size() > kMostNames) names += ", ...";
  std::string text = first == nullptr ? std::string("minke: models are loaded when they are asked for\n")
                                      : base::cat("minke: ", first->description, "\n");
  if (!flags.http.unix_socket.empty()) {
    return text + base::cat("minke: ", names, " is served on the socket ", server.address(), "\n");
  }
  const std::string url = base::cat(flags.http.tls_certificate.empty() ? "http://" : "https://", server.address());
  const std::string_view key = flags.keys.empty() && flags.key_file.empty() ? "" : " -H 'Authorization: Bearer KEY'";
  return text + base::cat("minke: ", names, " is served at ", url, "/v1; for example:\n  curl ", url,
                          "/v1/chat/completions", key, " -d '{\"model\":\"", name,
                          "\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n"
                          "  python: openai.OpenAI(base_url=\"",
                          url, "/v1\", api_key=\"", key.empty() ? "none" : "KEY", "\")\n");
}

int serve(const Session& session, const ServeFlags& flags) {
  server::HttpOptions http = flags.http;
  http.drain_time = std::chrono::seconds(flags.drain_seconds);
  if (http.tls_certificate.empty() != http.tls_key.empty()) {
    throw UsageError("--tls-cert and --tls-key go together", "one names the certificate, the other its key");
  }
  http.on_reload = [](const std::string& said) { warn(said); };
  raise_descriptor_limit();
  std::atomic<const server::HttpServer*> listening{nullptr};
  server::AppOptions options = app_options(flags);
  options.connections = [&listening] {
    const server::HttpServer* server = listening.load();
    return server == nullptr ? 0 : server->connections();
  };
  const api::PoolOptions limits = pool_options(flags);
  const std::shared_ptr<ServedModels> source = source_of(session, flags);
  const auto pool = std::make_shared<api::ModelPool>(source, limits);
  server::App app(std::move(options));
  server::HttpServer server(http, app);
  listening.store(&server);
  ServerThread thread(server);
  const auto serve = [&app, &pool] { app.serve(std::make_shared<api::Service>(pool)); };
  {
    std::shared_ptr<const api::Model> first;
    if (flags.models.empty()) {
      serve();
    } else {
      // Requests that come meanwhile wait for it.
      first = load_first(session, *pool, source->named().front(), thread, serve);
      if (first) load_others(*pool, source->named(), flags.max_loaded);
    }
    if (!flags.quiet && !thread.ended()) note(greeting(server, flags, *pool, first.get()));
  }
  thread.wait();
  // The server ended in order: another signal, while the models' memory is given back, must not make it look otherwise.
  // The server has them still; then this thread and the pool's are the only ones left.
  block_signals();
  app.serve(nullptr);
  pool->stop();
  return 0;
}

}  // namespace

void add_serve_command(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("serve", "Serve models to programs: the APIs of OpenAI, DeepSeek, Anthropic, Ollama");
  const auto flags = std::make_shared<ServeFlags>();
  command
      ->add_option("MODEL", flags->models,
                   "Store names or paths; they are loaded at the start. Without any, each model of the store is loaded "
                   "when it is asked for")
      ->option_text("");
  add_server_flags(*command, *flags);
  add_models_flags(*command, *flags);
  add_access_flags(*command, *flags);
  add_chat_flags(*command, flags->chat);
  add_engine_flags(*command, flags->engine, ContextFlag::with);
  add_speculation_flag(*command, flags->engine);
  add_cache_flags(*command, flags->cache);
  command->footer(
      "docs/api.md has the routes and their fields. SIGTERM and Ctrl-C let running replies end, then the server.\n\n"
      "Examples:\n"
      "  minke serve qwen2.5-coder:1.5b\n"
      "  minke serve qwen2.5-coder:1.5b --alias gpt-4o --port 8080\n"
      "  minke serve smollm2 --offer all --keep-alive 10m --max-loaded 2\n"
      "  minke serve ./model.gguf --host 0.0.0.0 --api-key-file keys.txt --tls-cert cert.pem --tls-key key.pem");
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return serve(session, *flags); }; });
}

}  // namespace minke::cli
