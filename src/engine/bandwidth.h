// How fast this machine reads memory: the bound on decoding, where every weight is read once a token.
#pragma once

#include <cstddef>

#include "base/thread_pool.h"

namespace minke::engine {

/// Bytes per second that the pool's threads read together, streaming `bytes` of memory (in huge pages where there are)
/// that they have written before: the best of a few passes, a fraction of a second. Allocates `bytes`; 0: twice the
/// last cache, at least 256 MiB.
double measure_read_bandwidth(base::ThreadPool& pool, std::size_t bytes = 0);

}  // namespace minke::engine
