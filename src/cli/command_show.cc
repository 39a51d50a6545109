// minke show: what a model is, before it is loaded.
#include <unistd.h>

#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/utf8.h"
#include "cli/command.h"
#include "cli/messages_json.h"
#include "cli/model_report.h"
#include "cli/model_source.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/remote_model.h"
#include "cli/text_file.h"
#include "synth/recipe.h"

namespace minke::cli {
namespace {

struct ShowFlags {
  std::string model, type;
  bool tensors = false, json = false, no_generation_prompt = false;
  std::optional<std::string> render;
  ChatFlags chat;
  EngineFlags engine;
};

std::string rendered_json(const formats::Checkpoint& checkpoint, const ShowFlags& flags, const std::string& file) {
  const TextModel text = open_text_model(checkpoint, flags.chat.encoding_choice());
  if (!text.warning.empty()) warn(text.warning);
  const std::string source = file == "-" ? "standard input" : file;
  const std::vector<text::Message> messages = parse_messages(read_text_file(file), source);
  text::RenderOptions options;
  options.thinking = flags.chat.thinking();
  options.date = flags.chat.date_text();
  options.add_generation_prompt = !flags.no_generation_prompt;
  const text::RenderedPrompt prompt = text.encoding->render(messages, options);
  boost::json::object object;
  object["text"] = base::to_valid_utf8(prompt.text());
  boost::json::array ids;
  for (const text::TokenId id : prompt.encode(*text.tokenizer)) ids.emplace_back(id);
  object["ids"] = std::move(ids);
  return boost::json::serialize(object) + "\n";
}

void print(const ShowFlags& flags, const ShownModel& model, const RemoteModel* remote) {
  Output out(STDOUT_FILENO, "standard output");
  if (flags.render) {
    out.write(rendered_json(*model.source, flags, *flags.render));
  } else if (flags.tensors && !flags.json) {
    out.write(tensors_text(model.weights->tensors()));
  } else {
    ModelReport report = report_on(model, flags.chat, flags.engine);
    if (remote != nullptr) remote->complete(report);
    const auto tensors = flags.tensors ? model.weights->tensors() : std::span<const formats::TensorView>();
    out.write(flags.json ? report_json(report, tensors) : report_text(report));
  }
  out.flush();
}

int show(const Session& session, const ShowFlags& flags) {
  const hub::ModelStore store = session.environment.store();
  if (is_remote(store, flags.model)) {
    const RemoteModel remote(session, store, flags.model, flags.engine);
    remote.naming([&] { print(flags, remote.shown(), &remote); });
  } else {
    print(flags, open_shown_model(store, flags.model, flags.type), nullptr);
  }
  return 0;
}

}  // namespace

void add_show_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("show", "What a model is, needs and can do here");
  const auto flags = std::make_shared<ShowFlags>();
  command
      ->add_option("MODEL", flags->model,
                   "Store name or path; a config.json, or a folder with one, without weights; of what is "
                   "not here, a name for \"minke pull\"")
      ->required()
      ->option_text("");
  command
      ->add_option(
          "--type", flags->type,
          "For a config.json: the types that sizes are for (q4_k_m, q8_0, fp8, ...), not the configuration's own")
      ->check(CLI::IsMember(synth::recipe_names(), CLI::ignore_case))
      ->option_text("TYPE");
  command->add_flag("--tensors", flags->tensors, "Every tensor: name, type, shape, bytes");
  command->add_flag("--json", flags->json, "As one JSON object");
  command
      ->add_option("--render", flags->render,
                   "Print the exact prompt of a conversation as {\"text\":..,\"ids\":[..]}; - is standard input")
      ->option_text("MESSAGES.json");
  command->add_flag("--no-generation-prompt", flags->no_generation_prompt,
                    "With --render: do not open the assistant's turn");
  add_chat_flags(*command, flags->chat);
  add_engine_flags(*command, flags->engine, ContextFlag::without);
  command->footer(
      "Messages are a JSON array of {role, content, reasoning_content?}; roles: system, user, assistant.\n\n"
      "Examples:\n"
      "  minke show smollm2\n"
      "  minke show r1:7b                                  what is not here: by its headers, before it is fetched\n"
      "  minke show qwen3:8b --memory 6GB                  and what \"minke pull\" would take on a machine with that\n"
      "  minke show data/shapes/deepseek-v3.json --type q4_k_m\n"
      "  echo '[{\"role\":\"user\",\"content\":\"Hi\"}]' | minke show smollm2 --render -");
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return show(session, *flags); }; });
}

}  // namespace minke::cli
