//! The order of every queue.

use masim_core::program::{Does, Queue};

use crate::cases::cases;

/// Exchanges and collectives that two ranks share stand in one sequence in the queues of both, so that no rank waits for
/// another in a circle; kernels stand in the queue of their rank alone.
#[test]
fn every_communicator_sees_one_order_on_all_ranks() {
    for case in cases() {
        let program = case.recorded(1).program;
        program.check().unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let order = program.order();
        assert_eq!(order.len(), program.n_ranks as usize);
        let mut n_listed = 0;
        for queues in &order {
            for queue in queues {
                assert!(queue.is_sorted(), "{}: a queue follows the order of the skeleton", case.name);
            }
            n_listed += queues[Queue::Compute as usize].len();
        }
        let kernels = program.skeleton.instrs.iter().filter(|it| matches!(it.does, Does::Kernels { .. }));
        assert_eq!(n_listed, kernels.count(), "{}", case.name);
    }
}

/// Every `in` of a step that follows another has an `out` of the same name.
#[test]
fn ports_meet_by_name() {
    for case in cases() {
        let program = case.recorded(1).program;
        let name = |port: &masim_core::program::Port| (port.replica, port.micro_batch, port.rank);
        let ins: Vec<_> = program.ins.iter().map(name).collect();
        let outs: Vec<_> = program.outs.iter().map(name).collect();
        assert_eq!(ins, outs, "{}", case.name);
        let is_prompt = case.scenario.workload.decode_context().is_none();
        assert_eq!(ins.is_empty(), is_prompt, "{}", case.name);
    }
}
