//! From rows to a network.

use nalgebra::DMatrix;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::features::Head;
use super::network::{Layer, Network, six_digits};
use crate::inputs::measurement::Work;
use crate::inputs::profile::predictor::{FeatureFile, LayerFile, TargetFile};

/// Steps of a training; each is a mini-batch.
const N_STEPS: usize = 8000;
/// Rows of a mini-batch.
const N_ROWS: usize = 64;
/// The rate of the first step; it falls to nothing along a cosine.
const RATE: f64 = 4e-3;
/// Steps over which means of slopes and of their squares reach back.
///
/// # Source
///
/// Kingma and Ba, "Adam", 2015: 0.9, 0.999 and 1e-8.
const KEEP: (f64, f64) = (0.9, 0.999);
const TINY: f64 = 1e-8;
/// Beyond this error of log(time) a row pulls no harder: single rows that went wrong do not bend the curve.
const PULL_MAX: f64 = 0.05;

/// A trained network as a profile holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedFile {
    /// Features, the inputs.
    pub features: Vec<FeatureFile>,
    /// The scale of what comes out.
    pub target: TargetFile,
    /// The network.
    pub layers: Vec<LayerFile>,
}

/// Trains the network of `head` on works and their microseconds; the same rows and seed give the same bytes.
///
/// # Panics
///
/// Without rows, or with work of another head.
pub fn train(head: Head, rows: &[(Work, f64)], seed: u64) -> TrainedFile {
    train_in(N_STEPS, head, rows, seed)
}

fn train_in(n_steps: usize, head: Head, rows: &[(Work, f64)], seed: u64) -> TrainedFile {
    assert!(!rows.is_empty(), "rows to train on");
    let mut features = Vec::new();
    let mut columns = Vec::new();
    for feature in head.features() {
        let values: Vec<_> = rows.iter().map(|(work, _)| feature.value(work)).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        // What is the same in all rows says nothing.
        if low < high {
            let logs: Vec<_> = values.iter().map(|value| libm::log(*value)).collect();
            let (mean, deviation) = scale(&logs);
            let name = feature.name().to_owned();
            features.push(FeatureFile { name, mean, deviation, covered: [low, high] });
            columns.push(logs.iter().map(|log| (log - mean) / deviation).collect::<Vec<_>>());
        }
    }
    let logs: Vec<_> = rows.iter().map(|(_, time_us)| libm::log(*time_us)).collect();
    let (mean, deviation) = scale(&logs);
    let targets: Vec<_> = logs.iter().map(|log| (log - mean) / deviation).collect();
    let inputs = DMatrix::from_fn(columns.len(), rows.len(), |feature, row| columns[feature][row]);
    let network = fit(&inputs, &targets, PULL_MAX / deviation, (n_steps, seed));
    TrainedFile { features, target: TargetFile { mean, deviation }, layers: network.to_files() }
}

/// Mean and standard deviation, rounded as they are written; a deviation of nothing counts as 1.
fn scale(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n;
    let deviation = if square > 0.0 { square.sqrt() } else { 1.0 };
    (six_digits(mean), six_digits(deviation))
}

/// Minimizes the error of `targets`, quadratic up to `pull_max` and linear beyond.
fn fit(inputs: &DMatrix<f64>, targets: &[f64], pull_max: f64, (n_steps, seed): (usize, u64)) -> Network {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut network = Network::new(inputs.nrows(), &mut rng);
    let mut adam = Adam::new(&network);
    let mut order: Vec<usize> = (0..targets.len()).collect();
    let mut next = order.len();
    for step in 0..n_steps {
        let mut batch = Vec::with_capacity(N_ROWS);
        while batch.len() < N_ROWS.min(order.len()) {
            if next == order.len() {
                shuffle(&mut order, &mut rng);
                next = 0;
            }
            batch.push(order[next]);
            next += 1;
        }
        let batch_inputs = inputs.select_columns(&batch);
        let share = 1.0 / batch.len() as f64;
        let slope =
            |at: usize, out: f64| share * (out - targets[batch[at]]).clamp(-pull_max, pull_max) / pull_max;
        let gradient = network.gradient(&batch_inputs, slope);
        let done = step as f64 / n_steps as f64;
        let rate = RATE * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * done));
        adam.step(&mut network, &gradient, rate);
    }
    network
}

fn shuffle(order: &mut [usize], rng: &mut Pcg64) {
    for at in (1..order.len()).rev() {
        order.swap(at, rng.random_range(0..=at));
    }
}

/// Means of slopes and of their squares, for each weight and bias.
struct Adam {
    slopes: Vec<Layer>,
    squares: Vec<Layer>,
    /// Correction of the means for the first steps.
    missing: (f64, f64),
}

impl Adam {
    fn new(network: &Network) -> Self {
        let zero = |layer: &Layer| Layer { weights: &layer.weights * 0.0, biases: &layer.biases * 0.0 };
        let zeros: Vec<_> = network.layers.iter().map(zero).collect();
        Self { slopes: zeros.clone(), squares: zeros, missing: (1.0, 1.0) }
    }

    fn step(&mut self, network: &mut Network, gradient: &[Layer], rate: f64) {
        self.missing = (self.missing.0 * KEEP.0, self.missing.1 * KEEP.1);
        let scale = (1.0 / (1.0 - self.missing.0), 1.0 / (1.0 - self.missing.1));
        let moments = self.slopes.iter_mut().zip(&mut self.squares);
        for ((layer, slope), (mean, square)) in network.layers.iter_mut().zip(gradient).zip(moments) {
            let of_layer = (layer.weights.as_mut_slice(), slope.weights.as_slice());
            update(of_layer, (mean.weights.as_mut_slice(), square.weights.as_mut_slice()), rate, scale);
            let of_layer = (layer.biases.as_mut_slice(), slope.biases.as_slice());
            update(of_layer, (mean.biases.as_mut_slice(), square.biases.as_mut_slice()), rate, scale);
        }
    }
}

fn update(
    (values, slopes): (&mut [f64], &[f64]),
    (means, squares): (&mut [f64], &mut [f64]),
    rate: f64,
    scale: (f64, f64),
) {
    for (((value, slope), mean), square) in values.iter_mut().zip(slopes).zip(means).zip(squares) {
        *mean = KEEP.0 * *mean + (1.0 - KEEP.0) * slope;
        *square = KEEP.1 * *square + (1.0 - KEEP.1) * slope * slope;
        *value -= rate * (*mean * scale.0) / ((*square * scale.1).sqrt() + TINY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::measurement::DecodeWork;
    use crate::inputs::profile::predictor::{NetworkFile, PredictorFile, PredictorResidualFile};
    use crate::inputs::profile::{AccuracyFile, ErrorsFile, SplitFile};
    use crate::inputs::topology::Dtype;
    use crate::timing::predictor::Predictor;

    fn decode(batch: u64, kv_len: u64) -> Work {
        let (n_heads, n_kv_heads, head_dim) = (8, 8, 128);
        Work::Decode(DecodeWork { dtype: Dtype::Bf16, batch, kv_len, n_heads, n_kv_heads, head_dim })
    }

    /// 5 us and a nanosecond for each cached token.
    fn time_us(batch: u64, kv_len: u64) -> f64 {
        5.0 + 1e-3 * (batch * kv_len) as f64
    }

    fn rows() -> Vec<(Work, f64)> {
        let shapes = (0..8).flat_map(|batch| (4..14).map(move |len| (1 << batch, 1 << len)));
        shapes.map(|(batch, kv_len)| (decode(batch, kv_len), time_us(batch, kv_len))).collect()
    }

    fn predictor(trained: TrainedFile) -> Predictor {
        let none = AccuracyFile { n: 0, mape: 0.0, median_ape: 0.0, p95_ape: 0.0, bias: 0.0 };
        let network = NetworkFile {
            families: vec!["attention_decode".to_owned()],
            sets: Vec::new(),
            features: trained.features,
            target: trained.target,
            layers: trained.layers,
            error: ErrorsFile { fit: none, held_out: None },
            residual: PredictorResidualFile { q05: -0.1, q95: 0.1 },
        };
        let networks = [("attention".to_owned(), network)].into();
        let split = SplitFile { seed: 1, held_out: 0.2 };
        Predictor::of_file(&PredictorFile { seed: 1, split, networks }).unwrap()
    }

    #[test]
    fn equal_seeds_give_equal_networks() {
        let rows = rows();
        let trained = train_in(50, Head::Attention, &rows, 7);
        assert_eq!(trained, train_in(50, Head::Attention, &rows, 7));
        assert_ne!(trained, train_in(50, Head::Attention, &rows, 8));
        // Heads are the same in all rows, and say nothing.
        let names: Vec<_> = trained.features.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["sequence_len", "batch", "load_tokens"]);
    }

    #[test]
    fn a_curve_is_learned_between_its_points() {
        let predictor = predictor(train_in(1500, Head::Attention, &rows(), 1));
        for (batch, kv_len) in [(3, 700), (24, 3000), (100, 100)] {
            let found = predictor.predict(&decode(batch, kv_len)).unwrap();
            let error = found.time_us / time_us(batch, kv_len) - 1.0;
            assert!(error.abs() < 0.1 && found.is_covered, "{batch} x {kv_len}: {error}");
        }
        assert!(!predictor.predict(&decode(1, 1 << 20)).unwrap().is_covered);
    }
}
