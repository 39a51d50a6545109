// The gallery's models for people and programs: what can be fetched, and whether it fits here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hub/gallery.h"
#include "hub/model_store.h"

namespace minke::cli {

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

/// Memory that weights may take: what is free, but for a tenth and what a context needs.
std::uint64_t room_for_weights();

}  // namespace minke::cli
