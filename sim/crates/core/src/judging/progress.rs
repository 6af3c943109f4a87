//! How a long computation says how far it is, without knowing who listens.

/// Hears of pieces of work that are done, from any thread and in any order.
pub trait Progress: Sync {
    /// So many pieces lie ahead.
    fn start(&self, n_pieces: usize);

    /// One piece is done.
    fn finish_one(&self);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _n_pieces: usize) {}

    fn finish_one(&self) {}
}
