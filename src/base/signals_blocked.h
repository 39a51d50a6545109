// Keeping signals away from threads that only compute.
#pragma once

#include <pthread.h>

#include <csignal>

namespace minke::base {

/// Blocks every signal for the threads started while it lives, except those that a fault raises on the
/// spot: Ctrl-C goes to the thread that waits for it, and a map's SIGBUS still reaches its handler.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP}) sigdelset(&all, fault);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace minke::base
