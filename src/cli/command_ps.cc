// minke ps, minke stop: the models that a running server has in memory.
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/server_client.h"
#include "cli/text_format.h"
#include "formats/json.h"

namespace minke::cli {
namespace {

namespace json = boost::json;

struct PsFlags {
  ServerFlags server;
  bool json = false;
};

struct Row {
  std::string name, size, context, state, until;
};

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? printable(std::string_view(value->get_string())) : std::string();
}

std::uint64_t count_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_number()) return 0;
  boost::system::error_code error;
  const auto count = value->to_number<std::uint64_t>(error);
  return error ? 0 : count;
}

std::string until_text(const json::object& model) {
  if (std::string progress = text_at(model, "progress"); !progress.empty()) return progress;
  const std::uint64_t users = count_at(model, "users");
  if (users > 0) return base::cat("in use by ", users);
  if (model.contains("stays")) return "it stays";
  const std::uint64_t seconds = count_at(model, "expires_in");
  if (seconds >= 120) return base::cat(seconds / 60, " minutes from now");
  return base::cat(seconds, " s from now");
}

std::string table(const json::array& models) {
  std::vector<Row> rows{{"NAME", "SIZE", "CONTEXT", "STATE", "UNTIL"}};
  for (const json::value& value : models) {
    const auto* model = value.if_object();
    if (model == nullptr) continue;
    rows.push_back({text_at(*model, "name"), byte_text(count_at(*model, "size")),
                    grouped(count_at(*model, "context_length")), text_at(*model, "state"), until_text(*model)});
  }
  std::size_t width = 0;
  for (const Row& row : rows) width = std::max(width, row.name.size());
  std::string text;
  for (const Row& row : rows) {
    text += base::cat(padded(row.name, width), "  ", padded_left(row.size, 8), "  ", padded_left(row.context, 9), "  ",
                      padded(row.state, 8), "  ", row.until, "\n");
  }
  return text;
}

int ps(const Session& session, const PsFlags& flags) {
  const ServerReply reply = ask_server(session.environment, flags.server, "GET", "/api/ps");
  const json::value value = formats::parse_json(reply.body, "the server's answer");
  const json::value* models = value.is_object() ? value.get_object().if_contains("models") : nullptr;
  if (models == nullptr || !models->is_array()) {
    throw base::Error(base::ErrorCode::format, "the server's answer has no list of models: is it minke's?");
  }
  Output out(STDOUT_FILENO, "standard output");
  if (flags.json) {
    out.write(json::serialize(*models) + "\n");
  } else if (models->get_array().empty()) {
    note("no model is loaded\n");
  } else {
    out.write(table(models->get_array()));
  }
  out.flush();
  return 0;
}

int stop(const Session& session, const ServerFlags& server, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const json::object body{{"model", name}, {"keep_alive", 0}};
    ask_server(session.environment, server, "POST", "/api/generate", json::serialize(body));
    note(base::cat(printable(name), " is unloaded as soon as nobody uses it\n"));
  }
  return 0;
}

}  // namespace

void add_ps_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("ps", "The models that a running server has in memory");
  const auto flags = std::make_shared<PsFlags>();
  add_server_client_flags(*command, flags->server);
  command->add_flag("--json", flags->json, "As a JSON array");
  command->footer("Examples:\n  minke ps\n  minke ps --url https://models.example --api-key KEY");
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return ps(session, *flags); }; });
}

void add_stop_command(CLI::App& app, Session& session) {
  struct Flags {
    ServerFlags server;
    std::vector<std::string> names;
  };
  CLI::App* command = app.add_subcommand("stop", "Unload a model from a running server; its replies end before");
  const auto flags = std::make_shared<Flags>();
  command->add_option("NAME", flags->names, "The model's name in the API")->required()->option_text("");
  add_server_client_flags(*command, flags->server);
  command->footer("Whoever asks for it afterwards has it loaded again. \"minke ps\" shows what is loaded.");
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return stop(session, flags->server, flags->names); }; });
}

}  // namespace minke::cli
