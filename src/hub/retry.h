// Waiting before another attempt.
#pragma once

#include <chrono>
#include <functional>

namespace minke::hub {

struct RetryPolicy {
  /// Attempts in a row that came to nothing before it is given up.
  unsigned attempts = 6;
  std::chrono::milliseconds first_wait{500};  ///< doubled each time
  std::chrono::seconds longest_wait{120};     ///< who asks for a longer one is not waited for
};

/// To be called while an exception is handled, after the `failures`th failure in a row: waits, at least `asked`; or
/// throws that exception again when it has been enough. Error(cancelled).
void wait_to_retry(const RetryPolicy& policy, unsigned failures, std::chrono::seconds asked,
                   const std::function<bool()>& cancelled);

/// Does `work` until it passes: what TransportError and BusyError report may.
void retrying(const RetryPolicy& policy, const std::function<bool()>& cancelled, const std::function<void()>& work);

}  // namespace minke::hub
