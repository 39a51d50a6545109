// Malformed checkpoints, each a folder of small files. Every case is a change of one thing in a well-formed
// checkpoint.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace minke::formats::testing {

struct HostileCase {
  std::string name;
  std::map<std::string, std::string> files;  ///< file name -> content
  std::string open;                          ///< what is opened; empty: the folder
  std::string item;                          ///< must be part of the message
};

std::vector<HostileCase> hostile_gguf_cases();
std::vector<HostileCase> hostile_split_gguf_cases();
std::vector<HostileCase> hostile_safetensors_cases();
std::vector<HostileCase> hostile_index_cases();
std::vector<HostileCase> hostile_json_cases();
std::vector<HostileCase> hostile_tiled_cases();

}  // namespace minke::formats::testing
