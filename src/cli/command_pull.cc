// minke pull: a model of a hub into the store.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include <CLI/CLI.hpp>

#include "base/cat.h"
#include "cli/command.h"
#include "cli/fetch_model.h"
#include "cli/hub_choice.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace minke::cli {
namespace {

struct PullFlags {
  std::string model, name, quant, revision = "main";
  std::size_t connections = 4;
  unsigned retries = 6;
  double timeout = 30;  // seconds
  EngineFlags engine;   // of which context and memory are asked for here
};

int pull_model(const Session& session, const PullFlags& flags) {
  const InterruptScope interrupt;
  HubAccess access = hub_access(session.environment, [&interrupt] { return interrupt.requested(); });
  access.options.network.idle = std::chrono::milliseconds(static_cast<std::int64_t>(flags.timeout * 1000));
  access.options.network.connect = std::min(access.options.network.connect, access.options.network.idle);
  const hub::ModelStore store = session.environment.store();
  HubChoice choice = choose_on_hub(access, store,
                                   {.model = flags.model,
                                    .name = flags.name,
                                    .quant = flags.quant,
                                    .revision = flags.revision,
                                    .retry = {.attempts = flags.retries},
                                    .engine = flags.engine});
  choice.headers.reset();  // their folder need not wait for the download
  note(base::cat(choice_text(choice), "\n", memory_text(choice)));
  fetch_model(
      access, store, choice,
      {.connections = flags.connections, .retries = flags.retries, .terminal = session.environment.stderr_terminal});
  note(base::cat("run it: minke run ", choice.request.name, "\n"));
  Output out(STDOUT_FILENO, "standard output");
  out.write(store.resolve(choice.request.name) + "\n");
  out.flush();
  return 0;
}

}  // namespace

void add_pull_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("pull", "Fetch a model from a hub");
  const auto flags = std::make_shared<PullFlags>();
  command
      ->add_option(
          "MODEL", flags->model,
          "A name of \"minke list --available\", USER/REPO[:QUANT or :FILE], hf.co/USER/REPO..., or a page's address")
      ->required()
      ->option_text("");
  command->add_option("--quant", flags->quant, "Which of its quantisations, or a file; as after the colon")
      ->option_text("QUANT");
  command->add_option("--revision", flags->revision, "Branch, tag or commit")->option_text("REVISION");
  command->add_option("--name", flags->name, "Store name, instead of one made of the repository's")
      ->option_text("NAME");
  command
      ->add_option("-c,--ctx-size", flags->engine.context,
                   "Without a quantisation: tokens of context that have to fit, too (default: 4096, or what it was "
                   "trained on)")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 26))
      ->option_text("N");
  command
      ->add_option("--memory", flags->engine.memory,
                   "Without a quantisation: memory that it may take, e.g. 6GB (default: what is free, but for a tenth)")
      ->transform(CLI::AsSizeValue(true))
      ->option_text("SIZE");
  command->add_option("--connections", flags->connections, "Connections at once")
      ->check(CLI::Range(std::size_t{1}, std::size_t{64}))
      ->option_text("N");
  command->add_option("--retries", flags->retries, "Attempts in a row without a byte before it gives up")
      ->check(CLI::Range(1U, 1000U))
      ->option_text("N");
  command->add_option("--timeout", flags->timeout, "Seconds without a byte before it connects again")
      ->check(CLI::Range(0.1, 3600.0))
      ->option_text("SECONDS");
  command->footer(
      "Without a quantisation it reads a model's headers first, takes Q4_K_M or what is nearest to it of what fits in\n"
      "memory with its context, and says why; \"minke show NAME\" prints the whole table. Files are checked against "
      "their\n"
      "SHA-256; an interrupted fetch goes on where it was; files of the Hugging Face cache are linked, not fetched "
      "again.\n"
      "The model's path goes to standard output.\n\n"
      "Heeds HF_ENDPOINT (a mirror), HF_TOKEN (private and gated repositories), HF_HOME, HF_HUB_CACHE,\n"
      "HF_HUB_OFFLINE=1 (only what the cache has), HTTPS_PROXY, HTTP_PROXY, NO_PROXY, SSL_CERT_FILE.\n\n"
      "Examples:\n"
      "  minke pull r1:1.5b\n"
      "  minke pull qwen3:8b --ctx-size 32768                what fits with a long context\n"
      "  minke pull Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M\n"
      "  minke pull hf.co/user/repo --name mine:q8 --quant Q8_0\n"
      "  minke pull user/repo:model-00001-of-00003.gguf\n"
      "  HF_ENDPOINT=https://mirror.example minke pull deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B");
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return pull_model(session, *flags); }; });
}

}  // namespace minke::cli
