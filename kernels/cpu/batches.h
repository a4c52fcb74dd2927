// Deals the pairs of a batch out to threads, each with a workspace of its own.
#pragma once
#include "backend.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

// Idle workspaces wait here for the next call, so that small batches do not pay for memory.  A lock that is taken (or
// was, when this process was forked) is never waited for: a fresh workspace does as well.
class Shelf {
  static constexpr size_t KEPT = size_t(256) << 20; // what is larger goes back to the system after use
  std::mutex lock;
  std::vector<Workspace> idle;

public:
  Workspace borrow() {
    std::unique_lock<std::mutex> held(lock, std::try_to_lock);
    if (!held || idle.empty()) return {};
    Workspace workspace = idle.back();
    idle.pop_back();
    return workspace;
  }
  void give_back(Workspace workspace) {
    if (workspace.bytes() > KEPT) return workspace.release();
    std::unique_lock<std::mutex> held(lock, std::try_to_lock);
    if (held)
      idle.push_back(workspace);
    else
      workspace.release();
  }
};

// Runs body(pair, workspace) for each pair; false where memory ran out.  Threads live for one call alone, so nothing
// is left behind that a fork could break.
template <class Body> bool for_each_pair(int64_t pairs, int64_t threads, Body body) {
  static Shelf shelf;
  std::atomic<int64_t> next{0};
  std::atomic<bool> enough{true};
  auto work = [&] {
    Workspace workspace = shelf.borrow();
    try {
      for (int64_t pair; (pair = next++) < pairs;) {
        workspace.reset();
        body(pair, workspace);
      }
    } catch (const std::bad_alloc &) {
      enough = false;
    }
    shelf.give_back(workspace);
  };
  std::vector<std::thread> others;
  try {
    for (int64_t k = 1; k < threads && k < pairs; k++) others.emplace_back(work);
  } catch (const std::exception &) { // the system grants no more: those that run do all the work
  }
  work();
  for (std::thread &thread : others) thread.join();
  return enough;
}
