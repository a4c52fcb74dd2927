// Deals the pairs of a batch out to threads, each with a workspace of its own.
#pragma once
#include "backend.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

// Workspaces of calls that have ended, kept for the next call of any recurrence, so that small batches do not pay for
// memory.  A lock that is taken (or was, when this process was forked) is never waited for: a new workspace will do.
class IdleWorkspaces {
  static constexpr size_t MOST = size_t(256) << 20; // bytes kept in all; the rest goes back to the system
  std::mutex lock;
  std::vector<Workspace> idle;
  size_t kept = 0;

public:
  Workspace borrow() {
    std::unique_lock<std::mutex> locked(lock, std::try_to_lock);
    if (!locked || idle.empty()) return {};
    Workspace workspace = idle.back();
    idle.pop_back();
    kept -= workspace.bytes();
    return workspace;
  }
  void give_back(Workspace workspace) {
    std::unique_lock<std::mutex> locked(lock, std::try_to_lock);
    if (!locked || kept + workspace.bytes() > MOST) return workspace.release();
    kept += workspace.bytes();
    idle.push_back(workspace);
  }
};
inline IdleWorkspaces idle_workspaces;

// Runs body(pair, workspace) for each pair; false where memory ran out.  Threads live for one call alone, so nothing
// is left behind that a fork could break.
template <class Body> bool for_each_pair(int64_t pairs, int64_t threads, Body body) {
  std::atomic<int64_t> next{0};
  std::atomic<bool> enough{true};
  auto work = [&] {
    Workspace workspace = idle_workspaces.borrow();
    try {
      for (int64_t pair; (pair = next++) < pairs;) {
        workspace.reset();
        body(pair, workspace);
      }
    } catch (const std::bad_alloc &) {
      enough = false;
    }
    idle_workspaces.give_back(workspace);
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
