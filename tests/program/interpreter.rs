//! A program run by an interpreter of sixty lines, and by the engine as it is priced.

use std::collections::BTreeMap;
use std::sync::Arc;

use masim_core::inputs::topology::GpuIdx;
use masim_core::program::{Does, Need, Posted, Program};
use masim_core::running::price::{Pricer, Step, n_streams};
use masim_core::search::routing_of;
use masim_core::work::cost::cost_of;
use masim_core::work::routing::RoutingPool;
use masim_engine::{Graph, Resources, Work, run_graph};
use masim_units::SimDuration;

use crate::cases::cases;

/// The lists on which a rank does one thing after the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Compute,
    Collectives,
    Groups,
    Sends,
    Host,
}

/// The end of every instruction where kernels, messages, collectives and host steps take one unit each, and joins none.
fn interpret(program: &Program) -> Vec<u64> {
    let skeleton = &program.skeleton;
    let mut made = vec![0; skeleton.values.len()];
    let mut ends = Vec::<u64>::new();
    let mut free = BTreeMap::<(GpuIdx, Lane), u64>::new();
    for instr in &skeleton.instrs {
        let ready = skeleton.needs_of(instr).iter().map(|need| match need {
            Need::Value(value) => made[value.0 as usize],
            Need::After(other) => ends[other.0 as usize],
        });
        let ready = ready.max().unwrap_or(0);
        let (lanes, units): (Vec<(GpuIdx, Lane)>, u64) = match &instr.does {
            Does::Kernels { rank, .. } => (vec![(*rank, Lane::Compute)], 1),
            Does::HostStep { rank, .. } => (vec![(*rank, Lane::Host)], 1),
            Does::Join { .. } => (Vec::new(), 0),
            Does::Collective { group, .. } => {
                (skeleton.group(*group).iter().map(|&rank| (rank, Lane::Collectives)).collect(), 1)
            }
            Does::Exchange { from, messages, posted } => {
                let lanes = match posted {
                    Posted::InGroups => vec![(*from, Lane::Groups)],
                    Posted::InTurn => vec![(*from, Lane::Sends)],
                    Posted::Relayed => Vec::new(),
                };
                (lanes, u64::from(!messages.is_empty()))
            }
        };
        let start = lanes.iter().filter_map(|lane| free.get(lane)).fold(ready, |a, b| a.max(*b));
        let end = start + units;
        free.extend(lanes.into_iter().map(|lane| (lane, end)));
        for value in skeleton.made(instr) {
            made[value.0 as usize] = end;
        }
        ends.push(end);
    }
    ends
}

/// The works of a priced step with a unit for each kernel task, message, first phase of a collective and host step.
fn units(program: &Program, step: &Step) -> Vec<Work> {
    let unit = SimDuration::from_ps(1);
    let mut seen = None;
    let works = step.infos.iter().map(|info| {
        let is_first = seen.replace(info.instr) != Some(info.instr);
        match program.skeleton.instrs[info.instr.0 as usize].does {
            Does::Kernels { .. } => Work::Compute { time: unit },
            Does::HostStep { .. } => Work::Delay { time: unit },
            Does::Collective { .. } if is_first => Work::Delay { time: unit },
            Does::Exchange { .. } if info.to.is_some() => Work::Delay { time: unit },
            Does::Collective { .. } | Does::Exchange { .. } | Does::Join { .. } => Work::Barrier,
        }
    });
    works.collect()
}

#[test]
fn the_engine_runs_the_partial_order_of_the_program() {
    for case in cases() {
        let (scenario, pool) = (&case.scenario, RoutingPool::default());
        let cost = cost_of(scenario);
        let mut pricer = Pricer::new(scenario, &case.plan, &*cost);
        let mut step = pricer.step(&routing_of(scenario, &pool).step(0)).unwrap();
        let works = Arc::new(units(pricer.program(), &step));
        let shape = Arc::new(step.shape.take().unwrap().build().unwrap());
        let resources = Resources { n_streams: n_streams(scenario.cluster.n_gpus()), links: Vec::new() };
        let trace = run_graph(resources, &[], Graph { shape, works, after: Vec::new() }).unwrap();
        let mut ends = vec![0; pricer.program().skeleton.instrs.len()];
        for (info, span) in step.infos.iter().zip(&trace.spans) {
            let end = &mut ends[info.instr.0 as usize];
            *end = span.end.as_ps().max(*end);
        }
        let expected = interpret(pricer.program());
        let differs = ends.iter().zip(&expected).position(|(a, b)| a != b);
        assert_eq!(differs, None, "{}: {:?}", case.name, differs.map(|at| (ends[at], expected[at])));
        assert!(expected.iter().max() > Some(&10), "{}: a step is a long chain", case.name);
    }
}
