// Runs one flow set through SimGrid and prints what the simulation cost.
//
// Input, written by compare.py: `links N`, then a capacity in bytes/s for each; `routes N`, then `n_links link ...`;
// `flows N`, then `start_s bytes route`. A flow is started when its latency is over, so links have none.
// Output: `cpu_s` of the simulation alone (no reading), then the end of each flow in seconds.

#include <simgrid/s4u.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

namespace sg4 = simgrid::s4u;

struct Flow {
  double start_s;
  uint64_t bytes;
  size_t route;
};

static double cpu_s() {
  timespec at{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
  return static_cast<double>(at.tv_sec) + 1e-9 * static_cast<double>(at.tv_nsec);
}

static size_t expect_count(std::istream& in, const std::string& what) {
  std::string word;
  size_t n = 0;
  if (!(in >> word >> n) || word != what) {
    std::cerr << "expected `" << what << " N`, found `" << word << "`\n";
    std::exit(1);
  }
  return n;
}

int main(int argc, char** argv) {
  sg4::Engine engine(&argc, argv);
  if (argc != 2) {
    std::cerr << "usage: flows FILE [SimGrid options]\n";
    return 1;
  }
  std::ifstream in(argv[1]);
  auto* zone = sg4::create_full_zone("fabric");
  std::vector<sg4::Link*> links(expect_count(in, "links"));
  for (size_t i = 0; i < links.size(); ++i) {
    double rate = 0;
    in >> rate;
    links[i] = zone->create_link("l" + std::to_string(i), rate)->set_latency(0.0)->seal();
  }
  // A pair of hosts for each route, so that two routes between the same ends can differ.
  struct Ends {
    sg4::Host* src;
    sg4::Host* dst;
  };
  std::vector<Ends> routes(expect_count(in, "routes"));
  for (size_t i = 0; i < routes.size(); ++i) {
    size_t n_links = 0;
    in >> n_links;
    std::vector<sg4::LinkInRoute> way;
    for (size_t k = 0; k < n_links; ++k) {
      size_t link = 0;
      in >> link;
      way.emplace_back(links.at(link));
    }
    auto* src = zone->create_host("s" + std::to_string(i), 1.0)->seal();
    auto* dst = zone->create_host("d" + std::to_string(i), 1.0)->seal();
    zone->add_route(src->get_netpoint(), dst->get_netpoint(), nullptr, nullptr, way, false);
    routes[i] = Ends{src, dst};
  }
  zone->seal();
  std::vector<Flow> flows(expect_count(in, "flows"));
  for (auto& flow : flows)
    in >> flow.start_s >> flow.bytes >> flow.route;
  if (!in) {
    std::cerr << "the file ends too early\n";
    return 1;
  }
  std::vector<size_t> order(flows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return flows[a].start_s < flows[b].start_s; });

  std::vector<sg4::CommPtr> comms(flows.size());
  auto* driver_host = routes.front().src;
  sg4::Actor::create("driver", driver_host, [&] {
    // One actor starts everything: cheaper for SimGrid than an actor for each flow.
    for (size_t i : order) {
      sg4::this_actor::sleep_until(flows[i].start_s);
      const Ends& ends = routes[flows[i].route];
      comms[i] = sg4::Comm::sendto_init(ends.src, ends.dst);
      comms[i]->set_payload_size(flows[i].bytes);
      comms[i]->start();
    }
    for (auto& comm : comms)
      comm->wait();
  });
  const double before = cpu_s();
  engine.run();
  std::printf("cpu_s %.6f\n", cpu_s() - before);
  for (const auto& comm : comms)
    std::printf("%.17g\n", comm->get_finish_time());
  return 0;
}
