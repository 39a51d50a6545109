// How the compute thread tells the server's thread that a reply has more, without waiting for it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

namespace minke::server {

/// Woken nodes in a list that many threads push to and one empties. A push neither allocates nor locks: a node that is
/// in the list already is left there, and only the first push since the last drain makes a system call (eventfd).
class WakeList {
 public:
  class Node {
   public:
    /// `wake` is called by drain().
    explicit Node(std::function<void()> wake) : wake_(std::move(wake)) {}

   private:
    friend class WakeList;
    std::function<void()> wake_;
    std::atomic<bool> queued_{false};
    Node* next_ = nullptr;
    std::shared_ptr<Node> self_;  // while it is in the list
  };

  /// Throws base::Error(io).
  WakeList();
  ~WakeList();
  WakeList(const WakeList&) = delete;
  WakeList& operator=(const WakeList&) = delete;

  /// Any thread.
  void push(const std::shared_ptr<Node>& node) noexcept;
  /// The one thread, when fd() can be read.
  void drain();
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
  std::atomic<Node*> head_{nullptr};
};

}  // namespace minke::server
