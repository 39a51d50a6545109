// Which program this is, to the byte.
#pragma once

#include "base/sha256.h"

namespace minke::base {

/// A digest that differs between any two builds that differ: of the linker's build id in the running program; where it
/// has none, of the program file's length and time. Nothing is read but the program's own headers.
Digest build_id();

}  // namespace minke::base
