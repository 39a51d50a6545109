#include "hub/retry.h"

#include <algorithm>
#include <thread>

#include "base/error.h"
#include "hub/hub_client.h"

namespace minke::hub {

void wait_to_retry(const RetryPolicy& policy, unsigned failures, std::chrono::seconds asked,
                   const std::function<bool()>& cancelled) {
  constexpr auto kTick = std::chrono::milliseconds(100);
  if (failures >= policy.attempts || asked > policy.longest_wait) throw;
  const auto own =
      std::min<std::chrono::milliseconds>(policy.first_wait * (1U << std::min(failures - 1, 16U)), policy.longest_wait);
  const auto until = std::chrono::steady_clock::now() + std::max<std::chrono::milliseconds>(asked, own);
  for (auto now = std::chrono::steady_clock::now(); now < until; now = std::chrono::steady_clock::now()) {
    if (cancelled && cancelled()) throw base::Error(base::ErrorCode::cancelled, "stopped");
    std::this_thread::sleep_for(std::min<std::chrono::steady_clock::duration>(until - now, kTick));
  }
}

void retrying(const RetryPolicy& policy, const std::function<bool()>& cancelled, const std::function<void()>& work) {
  for (unsigned failures = 1;; ++failures) {
    try {
      work();
      return;
    } catch (const TransportError&) {
      wait_to_retry(policy, failures, std::chrono::seconds(0), cancelled);
    } catch (const BusyError& error) {
      wait_to_retry(policy, failures, error.wait(), cancelled);
    }
  }
}

}  // namespace minke::hub
