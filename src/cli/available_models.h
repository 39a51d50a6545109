// The gallery's models for people and programs: what can be fetched, and whether it fits here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hub/gallery.h"
#include "hub/model_store.h"

namespace minke::cli {

/// What a context and work space take, of a model of which nothing else is known.
constexpr std::uint64_t kUsualContextBytes = std::uint64_t{512} << 20;

struct AvailableModel {
  const hub::GalleryEntry* entry = nullptr;
  std::string quant;        ///< the one that is proposed: the first usual one that fits, else the smallest
  std::uint64_t bytes = 0;  ///< of the weights; 0: not known
  bool exact = false;       ///< the file's size, not an estimate
  bool fits = false;        ///< in `room`
  bool here = false;        ///< in the store
};

/// In the gallery's order. `room`: bytes of memory that weights may take.
std::vector<AvailableModel> available_models(const hub::ModelStore& store, std::uint64_t room);

std::string available_table(const std::vector<AvailableModel>& models);
std::string available_json(const std::vector<AvailableModel>& models);

/// Memory that a model may take: what is free now, but for a tenth.
std::uint64_t memory_for_models();

/// Of that, what its weights may take, as far as can be said without its headers.
std::uint64_t room_for_weights();

}  // namespace minke::cli
