// Threads that run one function together, many times a millisecond. They spin a while between two
// calls of a step, and sleep between steps.

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace troupe {

class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 1; i < threads; i++) others_.emplace_back([this, i] { serve(i); });
  }

  ~Pool() {
    stopping_.store(true);
    round_.fetch_add(1);
    round_.notify_all();
    for (std::thread& other : others_) other.join();
  }

  int size() const { return int(others_.size()) + 1; }

  // Call work(thread) on every thread, and return when all have.
  template <typename Work>
  void run(const Work& work) {
    if (others_.empty()) {
      work(0);
      return;
    }
    call_ = [](const void* what, int thread) { (*static_cast<const Work*>(what))(thread); };
    what_ = &work;
    waiting_.store(int(others_.size()), std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    work(0);
    for (int spins = 0; waiting_.load(std::memory_order_acquire) != 0; spins++)
      if (spins > kSpins) std::this_thread::yield();
  }

 private:
  static constexpr int kSpins = 4000;  // some microseconds

  void serve(int thread) {
    uint32_t seen = 0;
    while (true) {
      for (int spins = 0; round_.load(std::memory_order_acquire) == seen; spins++)
        if (spins > kSpins) round_.wait(seen, std::memory_order_acquire);
      seen++;
      if (stopping_.load()) return;
      call_(what_, thread);
      waiting_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::vector<std::thread> others_;
  std::atomic<uint32_t> round_{0};
  std::atomic<int> waiting_{0};
  std::atomic<bool> stopping_{false};
  void (*call_)(const void*, int) = nullptr;
  const void* what_ = nullptr;
};

}  // namespace troupe
