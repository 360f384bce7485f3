// Signals of C++, measured as the rest: calibrated batches that take turns, medians of rounds. Prints the same lines.

#include <boost/signals2.hpp>
#include <boost/version.hpp>
#include <sigc++/sigc++.h>
#include <sigc++config.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

// What this asks of the allocator, on this thread, and doesn't give back.
thread_local double bytes = 0;

[[gnu::noinline]] void* operator new(std::size_t size) {
  void* block = std::malloc(size);
  if (!block) throw std::bad_alloc();
  bytes += size;
  return block;
}

[[gnu::noinline]] void operator delete(void* block, std::size_t size) noexcept {
  if (block) bytes -= size;
  std::free(block);
}

// Nobody does so; if it were so, no figure would be better than a wrong one.
[[gnu::noinline]] void operator delete(void* block) noexcept {
  if (block) bytes = NAN;
  std::free(block);
}

namespace {

constexpr int ROUNDS = 9;
constexpr int TURNS = 15;
constexpr double BATCH = 250'000;  // nanoseconds

struct Placed {
  std::uint64_t order;
};

// The compiler must have the value in memory, and can't tell what becomes of it.
template <class Value>
void black_box(const Value& value) {
  asm volatile("" : : "r"(&value) : "memory");
}

auto listener(std::uint64_t number) {
  return [number](const Placed& placed) { black_box(placed.order ^ number); };
}

struct Who {
  const char* name;
  const char* cannot;
};

struct Floor {
  static constexpr Who WHO = {"floor: a vector of std::function", "slots can't come or go while it emits"};
  std::vector<std::function<void(const Placed&)>> slots;

  int on(std::uint64_t number) {
    slots.emplace_back(listener(number));
    return 0;
  }

  void emit(const Placed& placed) {
    for (const auto& slot : slots) slot(placed);
  }
};

template <class Signal>
struct Signals {
  Signal signal;

  auto on(std::uint64_t number) { return signal.connect(listener(number)); }
  void emit(const Placed& placed) { signal(placed); }
};

struct Boost : Signals<boost::signals2::signal<void(const Placed&)>> {
  static constexpr Who WHO = {"Boost.Signals2", "a signal for each event: no topics, depth, causes; a slot's exception stops the others"};
};

struct Sigc : Signals<sigc::signal<void(const Placed&)>> {
  static constexpr Who WHO = {"libsigc++", "one thread; a signal for each event: no topics, depth, causes; a slot's exception stops the others"};
};

// With so many slots.
template <class Peer>
struct Filled {
  Peer peer;
  std::vector<decltype(peer.on(0))> kept;

  explicit Filled(int slots) {
    kept.reserve(slots);
    for (int number = 0; number < slots; number++) kept.push_back(peer.on(number));
  }

  void emit(long calls) {
    const Placed placed = {7};
    for (; calls > 0; calls--) {
      black_box(placed);
      peer.emit(placed);
    }
  }
};

using Clock = std::chrono::steady_clock;
using Act = std::function<void(long calls)>;

double since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

double time(const Act& act, long calls) {
  const auto start = Clock::now();
  act(calls);
  return since(start);
}

double median(std::vector<double> figures) {
  std::sort(figures.begin(), figures.end());
  return figures[figures.size() / 2];
}

// Nanoseconds of each.
std::vector<double> in_turns(const std::vector<Act>& acts) {
  std::vector<long> calls;
  for (const auto& act : acts) {
    long count = 1;
    while (time(act, count) < BATCH) count *= 2;
    calls.push_back(count);
  }
  std::vector<std::vector<double>> batches(acts.size());
  for (int turn = 0; turn < TURNS; turn++) {
    for (std::size_t at = 0; at < acts.size(); at++) batches[at].push_back(time(acts[at], calls[at]) / calls[at]);
  }
  std::vector<double> figures;
  for (const auto& batch : batches) figures.push_back(median(batch));
  return figures;
}

// Nanoseconds of each on average, while all run, each on a thread.
std::vector<double> at_once(const std::vector<Act>& acts) {
  constexpr auto TIME = std::chrono::milliseconds(50);
  constexpr long CALLS = 64;

  std::atomic<std::size_t> ready = 0;
  std::atomic<bool> is_over = false;
  std::vector<std::future<double>> threads;
  for (const auto& act : acts) {
    threads.push_back(std::async(std::launch::async, [&] {
      act(CALLS);
      ready++;
      while (ready < acts.size()) std::this_thread::yield();
      long calls = 0;
      const auto start = Clock::now();
      for (; !is_over.load(std::memory_order_relaxed); calls += CALLS) act(CALLS);
      return since(start) / calls;
    }));
  }
  std::this_thread::sleep_for(TIME);
  is_over = true;
  std::vector<double> figures;
  for (auto& thread : threads) figures.push_back(thread.get());
  return figures;
}

void print(const std::string& name, const char* unit, Who who, const std::vector<double>& rounds) {
  const auto [lowest, highest] = std::minmax_element(rounds.begin(), rounds.end());
  std::printf("%s\t%s\t%s\t%.2f\t%.2f\t%.2f\t\t\t\t%s\n", name.c_str(), who.name, unit, median(rounds), *lowest, *highest, who.cannot);
}

struct Contender {
  Who who;
  Act act;
};

void measure(const std::string& name, const std::vector<Contender>& contenders) {
  std::vector<Act> acts;
  for (const auto& contender : contenders) acts.push_back(contender.act);
  std::vector<std::vector<double>> rounds(contenders.size());
  for (int round = 0; round < ROUNDS; round++) {
    const auto figures = in_turns(acts);
    for (std::size_t at = 0; at < figures.size(); at++) rounds[at].push_back(figures[at]);
  }
  for (std::size_t at = 0; at < rounds.size(); at++) print(name, "ns", contenders[at].who, rounds[at]);
}

template <class Peer>
Contender emits(int slots) {
  const auto filled = std::make_shared<Filled<Peer>>(slots);
  return {Peer::WHO, [filled](long calls) { filled->emit(calls); }};
}

template <class Peer>
Contender newest(int live) {
  const auto filled = std::make_shared<Filled<Peer>>(live);
  return {Peer::WHO, [filled](long calls) {
    for (; calls > 0; calls--) filled->peer.on(0).disconnect();
  }};
}

template <class Peer>
Contender any(int live) {
  const auto filled = std::make_shared<Filled<Peer>>(live);
  const Act act = [filled, random = std::minstd_rand()](long calls) mutable {
    for (; calls > 0; calls--) {
      auto& kept = filled->kept[random() % filled->kept.size()];
      std::exchange(kept, filled->peer.on(0)).disconnect();
    }
  };
  act(2 * live);  // as it is after a long life, not as it was filled in order
  return {Peer::WHO, act};
}

template <class Peer>
void threads() {
  std::vector<double> one, two, throughput;
  for (int round = 0; round < ROUNDS; round++) {
    const auto act = emits<Peer>(1).act;
    one.push_back(at_once({act})[0]);
    const auto each = at_once({act, act});
    two.push_back(2 / (1 / each[0] + 1 / each[1]));
    throughput.push_back(2 * one.back() / two.back());
  }
  print("one thread", "ns", Peer::WHO, one);
  print("each of two", "ns", Peer::WHO, two);
  print("throughput of two to one", "x", Peer::WHO, throughput);
}

template <class Peer>
void heap() {
  constexpr int SLOTS = 1'000;
  std::vector<decltype(std::declval<Peer>().on(0))> kept;
  kept.reserve(SLOTS);
  double before = bytes;
  Peer peer;
  print("empty", "bytes", Peer::WHO, {bytes - before});
  before = bytes;
  for (int number = 0; number < SLOTS; number++) kept.push_back(peer.on(number));
  peer.emit({7});
  print("a slot, beside its closure", "bytes", Peer::WHO, {(bytes - before) / SLOTS - sizeof(listener(0))});
}

}  // namespace

int main(int, char** arguments) {
  const std::string group = arguments[1];
  if (group == "versions") {
    std::printf("c++ %s, Boost %d.%d.%d, libsigc++ %d.%d.%d\n", __VERSION__, BOOST_VERSION / 100'000, BOOST_VERSION / 100 % 1'000,
                BOOST_VERSION % 100, SIGCXX_MAJOR_VERSION, SIGCXX_MINOR_VERSION, SIGCXX_MICRO_VERSION);
  } else if (group == "emit") {
    for (int slots : {0, 1, 10, 100, 1'000}) {
      measure(std::to_string(slots) + " slots", {emits<Floor>(slots), emits<Boost>(slots), emits<Sigc>(slots)});
    }
  } else if (group == "threads") {
    threads<Floor>();
    threads<Boost>();
  } else if (group == "on_off") {
    for (int live : {10, 1'000, 100'000}) measure("newest of " + std::to_string(live), {newest<Boost>(live), newest<Sigc>(live)});
    for (int live : {10, 1'000, 100'000}) measure("any of " + std::to_string(live), {any<Boost>(live), any<Sigc>(live)});
  } else if (group == "heap") {
    heap<Floor>();
    heap<Boost>();
    heap<Sigc>();
  }
}
