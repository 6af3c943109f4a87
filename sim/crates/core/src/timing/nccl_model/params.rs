//! The parameters that measurements determine.

use crate::timing::params::params;

params! {
    /// Parameters of collectives.
    ///
    /// # Units
    ///
    /// Times are microseconds, rates GB/s.
    NcclParams {
        /// Host and kernel launch with one channel and few threads.
        launch_us: 8.0,
        /// Extra time of all channels over one.
        wide_us: 2.5,
        /// A hop over NVLink by LL.
        ll_hop_us: 1.0,
        /// Extra time of a hop by LL when every thread of a block has a line to send.
        ll_block_us: 0.4,
        /// Rate of LL over all channels.
        ll_rate: 90.0,
        /// Start of LL128.
        ll128_start_us: 2.5,
        /// A hop over NVLink by LL128.
        ll128_hop_us: 1.6,
        /// Rate of LL128 over all channels.
        ll128_rate: 160.0,
        /// Start of Simple.
        simple_start_us: 6.5,
        /// A hop over NVLink by Simple.
        simple_hop_us: 5.0,
        /// Rate of Simple over all channels, for endless buffers.
        simple_rate: 245.0,
        /// The bytes at which Simple reaches half of its rate.
        ramp_bytes: 3e6,
        /// Shards that a GPU handles beside those that it sends: its own copy, the last receive.
        extra_shards: 0.4,
        /// Start of grouped sends and receives.
        grouped_start_us: 1.5,
        /// Extra time of each doubling of the peers of grouped sends.
        grouped_peers_us: 1.5,
        /// Rate of grouped messages that do not fill a chunk, own part included.
        grouped_rate: 80.0,
        /// Time to leave the node, once: proxy threads and registered memory.
        net_start_us: 5.0,
        /// Share of the NICs' rate that is reached.
        nic_efficiency: 0.8,
    }
}

params! {
    /// Parameters of sends between pairs.
    ///
    /// # Units
    ///
    /// Times are microseconds, rates GB/s.
    PairsParams {
        /// Host launch.
        launch_us: 36.0,
        /// Extra time to leave the node.
        net_us: 70.0,
        /// Rate over NVLink.
        nvlink_rate: 258.0,
        /// Share of the NIC's rate that is reached.
        nic_efficiency: 0.84,
        /// Share of the wire time that the launch hides: 0 for one after the other.
        overlap: 0.3,
    }
}
