// Transfers between meshes in simulated time, and how they share network cards.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/simulate/simulate.h"

namespace alpa::simulate {

// What a transfer between two meshes asks of the links.
struct Route {
  // The part of a transfer that passes the cards of one host in one direction.
  struct Share {
    int32_t link = 0;  // number in Timeline::links
    double bytes = 0;
    double seconds = 0;  // with the cards for itself
    double least = 0;    // seconds, however few share them: its devices reach only some of the cards
  };
  // The part that stays within a host.
  struct Stay {
    int32_t link = 0;
    double bytes = 0;
    double seconds = 0;  // with latency
  };
  double latency = 0;  // seconds before it reaches the network cards
  std::vector<Share> shares;
  std::vector<Stay> stays;
};

// Bytes lie evenly on the devices of both meshes, and each passes once. As many as possible stay within their host;
// what is left leaves and enters hosts in proportion to what they still have and lack.
Route MakeRoute(const Costs& costs, int32_t from_mesh, int32_t to_mesh, int64_t bytes);

// Seconds of the part within hosts; 0 if there is none.
double StaySeconds(const Route& route);

// Transfers under way through network cards. Each of the k transfers that use the cards of a host in one direction gets
// 1 / k of them; the slowest of its shares sets the pace of a transfer. Rates change only when transfers come and go,
// so finishing times are known in between.
class Network {
 public:
  explicit Network(size_t links) : active_(links), since_(links, 0), use_(links, 0) {}

  // A new finishing time of a transfer, which replaces the one it had.
  struct Finish {
    int32_t transfer = 0;
    int32_t version = 0;
    double time = 0;
  };

  // A transfer enters the cards. `changed` gets the new finishing times of all that are affected, itself included.
  // Returns its number, valid until it leaves.
  int32_t Enter(const Route* route, double now, std::vector<Finish>* changed);
  // Whether this finishing time still holds.
  bool Holds(const Finish& finish) const {
    return flights_[static_cast<size_t>(finish.transfer)].version == finish.version;
  }
  // A transfer is through.
  void Leave(int32_t transfer, double now, std::vector<Finish>* changed);

  // Seconds in which link `link` had anything to do.
  double Busy(size_t link) const { return use_[link]; }

 private:
  struct Flight {
    const Route* route = nullptr;
    int32_t version = 0;  // of its finishing time; grows even while the number is free
    double left = 0;      // fraction of the bytes
    double seconds = -1;  // for all bytes at the present rate; -1: not known yet
    double updated = 0;   // when `left` was true
  };

  void Update(const Route& route, double now, std::vector<Finish>* changed);

  std::vector<Flight> flights_;
  std::vector<int32_t> free_;                 // unused numbers of flights
  std::vector<std::vector<int32_t>> active_;  // flights by link
  std::vector<double> since_;                 // by link: when the first of these came
  std::vector<double> use_;                   // by link: busy seconds before that
};

}  // namespace alpa::simulate
