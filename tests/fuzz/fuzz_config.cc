// Any text as each of the JSON files of a safetensors folder, and as the index of one.
#include "base/error.h"
#include "formats/checkpoint.h"
#include "fuzz_input.h"
#include "support/temp_folder.h"

namespace {

void open(const std::string& path) {
  try {
    minke::formats::Checkpoint::open(path);
  } catch (const minke::base::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const minke::test::TempFolder folder(minke::test::TempFolder::Place::memory);
  const std::string_view text = minke::fuzz::text_of(data, size);
  constexpr std::string_view kEmptyModel("\x02\0\0\0\0\0\0\0{}", 10);
  constexpr const char* kIndex = "model.safetensors.index.json";

  folder.write("config.json", "{}");
  folder.write("model.safetensors", kEmptyModel);
  for (const char* name : {"tokenizer_config.json", "generation_config.json", "config.json"}) {
    folder.write(name, text);
    open(folder.path());
    folder.remove(name);
  }
  folder.remove("model.safetensors");
  folder.write("config.json", "{}");
  folder.write("s.safetensors", kEmptyModel);
  folder.write(kIndex, text);
  open(folder.path());
  folder.remove(kIndex);
  return 0;
}
