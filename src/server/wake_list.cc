#include "server/wake_list.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/error.h"

namespace minke::server {

WakeList::WakeList() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) throw base::io_error("eventfd", "open", errno);
}

WakeList::~WakeList() {
  // Nodes own themselves while they are in the list.
  for (Node* node = head_.exchange(nullptr); node != nullptr;) {
    Node* next = node->next_;
    const std::shared_ptr<Node> last = std::move(node->self_);
    node = next;
  }
  ::close(fd_);
}

void WakeList::push(const std::shared_ptr<Node>& node) noexcept {
  if (node->queued_.exchange(true, std::memory_order_acq_rel)) return;
  // From here to drain() nobody else touches self_ and next_.
  node->self_ = node;
  Node* head = head_.load(std::memory_order_relaxed);
  do {
    node->next_ = head;
  } while (!head_.compare_exchange_weak(head, node.get(), std::memory_order_release, std::memory_order_relaxed));
  if (head != nullptr) return;
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then fd_ can be read anyway.
  [[maybe_unused]] const auto written = ::write(fd_, &one, sizeof one);
}

void WakeList::drain() {
  std::uint64_t count = 0;
  // Before the list is taken: a push after that raises it again.
  [[maybe_unused]] const auto got = ::read(fd_, &count, sizeof count);
  for (Node* node = head_.exchange(nullptr, std::memory_order_acquire); node != nullptr;) {
    Node* next = node->next_;
    const std::shared_ptr<Node> kept = std::move(node->self_);
    // Before wake_: what the compute thread writes from here on is told again.
    kept->queued_.store(false, std::memory_order_release);
    kept->wake_();
    node = next;
  }
}

}  // namespace minke::server
