//! Tables of Vidur's profiler: `mlp.csv`, `attention.csv`, `all_reduce.csv` and `send_recv.csv`.
//!
//! Medians count. Sizes of collectives are bytes there; times are milliseconds of kernels, in half precision.
//!
//! # Source
//!
//! The folder `vidur/profiling` of github.com/microsoft/vidur.

use super::table::{TextRow, TextTable};
use super::{Imported, work_of, wrong};
use crate::inputs::measurement::{Family, Machine};
use crate::inputs::text::{InputError, SourceText};

/// Number format of Vidur's profiler.
const DTYPE: &str = "fp16";

/// The rows of a table; its columns say which one it is.
///
/// # Errors
///
/// A table of another kind, or a cell that cannot be read, with its line.
pub fn import<'m>(source: &SourceText, machine: &'m Machine) -> Result<Imported, InputError> {
    let table = TextTable::read(source)?;
    let has = |name: &str| table.has(&median(name));
    let read: Read<'m> = if has("mlp_up_proj") {
        Rows::mlp
    } else if has("attn_prefill") || has("attn_decode") {
        Rows::attention
    } else if has("all_reduce") {
        Rows::all_reduce
    } else if has("send_recv") {
        Rows::send_recv
    } else {
        let expected = ["mlp_up_proj", "attn_prefill", "all_reduce", "send_recv"].map(median).join(", ");
        return Err(wrong(
            source,
            1,
            "",
            format!("is no table of Vidur's profiler; expected a column of {expected}"),
        ));
    };
    let mut rows = Rows { machine, imported: Imported::default() };
    for row in table.rows() {
        read(&mut rows, &row)?;
    }
    Ok(rows.imported)
}

fn median(name: &str) -> String {
    format!("time_stats.{name}.median")
}

/// Reads a row of one kind of table.
type Read<'m> = fn(&mut Rows<'m>, &TextRow<'_>) -> Result<(), InputError>;

struct Rows<'a> {
    machine: &'a Machine,
    imported: Imported,
}

impl Rows<'_> {
    fn push(
        &mut self,
        row: &TextRow<'_>,
        family: Family,
        fields: &[(&'static str, String)],
        time_us: f64,
    ) -> Result<(), InputError> {
        let work = work_of(family, fields, self.machine).map_err(|(column, text)| row.wrong(column, text))?;
        self.imported.rows.push((work, time_us));
        Ok(())
    }

    /// Products and elementwise kernels of one layer on one of the tensor-parallel GPUs.
    fn mlp(&mut self, row: &TextRow<'_>) -> Result<(), InputError> {
        let tp: u64 = row.number("num_tensor_parallel_workers")?;
        let [tokens, n_heads, n_kv_heads, hidden, expanded]: [u64; 5] = [
            row.number("num_tokens")?,
            row.number("n_head")?,
            row.number("n_kv_head")?,
            row.number("n_embd")?,
            row.number("n_expanded_embd")?,
        ];
        if tp == 0 || n_heads == 0 {
            return Err(row.wrong("n_head", "found 0; expected heads and workers".to_owned()));
        }
        let head_dim = hidden / n_heads;
        let gated = row.text("use_gated_mlp").eq_ignore_ascii_case("true");
        let up = if gated { 2 * expanded } else { expanded } / tp;
        let products = [
            ("attn_pre_proj", (n_heads + 2 * n_kv_heads) * head_dim / tp, hidden),
            ("attn_post_proj", hidden, n_heads * head_dim / tp),
            ("mlp_up_proj", up, hidden),
            ("mlp_down_proj", hidden, expanded / tp),
        ];
        for (name, n, k) in products {
            let Some(time_us) = row.us_of_ms(&median(name))? else { continue };
            let dtype = ("dtype", DTYPE.to_owned());
            let fields = [dtype, ("m", tokens.to_string()), ("n", n.to_string()), ("k", k.to_string())];
            self.push(row, Family::Gemm, &fields, time_us)?;
        }
        let kernels = [
            ("input_layernorm", hidden),
            ("post_attention_layernorm", hidden),
            ("attn_rope", (n_heads + n_kv_heads) * head_dim / tp),
            ("add", hidden),
            ("mlp_act", expanded / tp),
        ];
        for (kind, width) in kernels {
            let Some(time_us) = row.us_of_ms(&median(kind))? else { continue };
            if kind == "mlp_act" && !gated {
                self.imported.leave_out("activations without a gate, which read one array and not two");
                continue;
            }
            let fields = [
                ("dtype", DTYPE.to_owned()),
                ("kind", kind.to_owned()),
                ("tokens", tokens.to_string()),
                ("width", width.to_string()),
            ];
            self.push(row, Family::Elementwise, &fields, time_us)?;
        }
        Ok(())
    }

    /// Attention on one of the tensor-parallel GPUs; new keys and values are written by a kernel of their own.
    fn attention(&mut self, row: &TextRow<'_>) -> Result<(), InputError> {
        let tp: u64 = row.number("num_tensor_parallel_workers")?;
        let [n_heads, n_kv_heads, hidden, batch, chunk, cached]: [u64; 6] = [
            row.number("n_q_head")?,
            row.number("n_kv_head")?,
            row.number("n_embd")?,
            row.number("batch_size")?,
            row.number("prefill_chunk_size")?,
            row.number("kv_cache_size")?,
        ];
        if tp == 0 || n_heads == 0 {
            return Err(row.wrong("n_q_head", "found 0; expected heads and workers".to_owned()));
        }
        let is_prefill = row.text("is_prefill").eq_ignore_ascii_case("true");
        let name = if is_prefill { "attn_prefill" } else { "attn_decode" };
        let Some(kernel_us) = row.us_of_ms(&median(name))? else {
            self.imported.leave_out("attention without a time");
            return Ok(());
        };
        let save_us = row.us_of_ms(&median("attn_kv_cache_save"))?.unwrap_or(0.0);
        let mut fields = vec![
            ("dtype", DTYPE.to_owned()),
            ("batch", batch.to_string()),
            ("n_heads", (n_heads / tp).to_string()),
            ("n_kv_heads", n_kv_heads.div_ceil(tp).to_string()),
            ("head_dim", (hidden / n_heads).to_string()),
        ];
        if is_prefill {
            fields.push(("q_len", chunk.to_string()));
            fields.push(("kv_len", (cached + chunk).to_string()));
            return self.push(row, Family::AttentionPrefill, &fields, kernel_us + save_us);
        }
        if cached == 0 {
            self.imported.leave_out("decode attention over an empty cache");
            return Ok(());
        }
        fields.push(("kv_len", cached.to_string()));
        self.push(row, Family::AttentionDecode, &fields, kernel_us + save_us)
    }

    fn all_reduce(&mut self, row: &TextRow<'_>) -> Result<(), InputError> {
        if row.number_or::<u64>("rank", 0)? != 0 {
            self.imported.leave_out("collectives as other ranks than the first saw them");
            return Ok(());
        }
        let Some(time_us) = row.us_of_ms(&median("all_reduce"))? else { return Ok(()) };
        let (n_gpus, per_node): (u64, u64) = (row.number("num_workers")?, row.number("devices_per_node")?);
        let fields = [
            ("kind", "all_reduce".to_owned()),
            ("bytes", row.text("size").to_owned()),
            ("n_gpus", n_gpus.to_string()),
            ("n_nodes", n_gpus.div_ceil(per_node.max(1)).to_string()),
        ];
        self.push(row, Family::Collective, &fields, time_us)
    }

    fn send_recv(&mut self, row: &TextRow<'_>) -> Result<(), InputError> {
        if row.number_or::<u64>("rank", 0)? != 0 {
            self.imported.leave_out("sends as other ranks than the first saw them");
            return Ok(());
        }
        let (n_gpus, per_node): (u64, u64) = (row.number("num_workers")?, row.number("devices_per_node")?);
        if n_gpus != 2 {
            self.imported.leave_out("sends among more than two GPUs");
            return Ok(());
        }
        let Some(time_us) = row.us_of_ms(&median("send_recv"))? else { return Ok(()) };
        let scope = if per_node >= n_gpus { "intra_node" } else { "inter_node" };
        let fields = [
            ("scope", scope.to_owned()),
            ("bytes_per_pair", row.text("size").to_owned()),
            ("n_pairs", "1".to_owned()),
        ];
        self.push(row, Family::P2p, &fields, time_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let source = SourceText { path: "mlp.csv".to_owned(), text: text.to_owned() };
        let imported =
            import(&source, &Machine::assumed("a100-sxm4-80gb")).map_err(|error| error.to_string())?;
        let line = |(work, time_us): &(crate::inputs::measurement::Work, f64)| {
            let cells: Vec<_> = work.columns().iter().map(|(_, value)| value.to_string()).collect();
            format!("{} {} {time_us}", work.family().name(), cells.join(" "))
        };
        Ok(imported.rows.iter().map(line).collect())
    }

    /// 8 heads of 64 and 2 key/value heads, halved: n = (8 + 4) x 64 / 2 = 384 for the first product; gated, 2 x 1024 / 2.
    #[test]
    fn layers_become_products_and_elementwise_kernels() {
        let text = "time_stats.attn_pre_proj.median,time_stats.mlp_up_proj.median,time_stats.mlp_act.median,\
time_stats.attn_rope.median,n_head,n_kv_head,n_embd,n_expanded_embd,use_gated_mlp,num_tokens,num_tensor_parallel_workers\n\
0.5,0.25,0.125,,8,2,512,1024,True,16,2\n";
        let found = read(text).unwrap();
        let expected =
            ["gemm fp16 16 384 512 500", "gemm fp16 16 1024 512 250", "elementwise fp16 mlp_act 16 512 125"];
        assert_eq!(found, expected);
    }

    #[test]
    fn attention_includes_the_write_of_the_cache() {
        let text = "time_stats.attn_prefill.median,time_stats.attn_decode.median,time_stats.attn_kv_cache_save.median,\
n_embd,n_q_head,n_kv_head,num_tensor_parallel_workers,batch_size,prefill_chunk_size,kv_cache_size,is_prefill\n\
0.5,,0.25,512,8,2,2,1,64,128,True\n,0.5,0.25,512,8,2,2,4,0,128,False\n";
        let found = read(text).unwrap();
        assert_eq!(
            found,
            ["attention_prefill fp16 1 64 192 4 1 64 750", "attention_decode fp16 4 128 4 1 64 750"]
        );
    }

    #[test]
    fn communication_counts_bytes() {
        let all_reduce = ",time_stats.all_reduce.median,rank,num_workers,size,collective,devices_per_node,max_devices_per_node\n\
0,0.5,0,4,2048,all_reduce,2,8\n";
        assert_eq!(read(all_reduce).unwrap(), ["collective all_reduce 2048 4 2 500"]);
        let send = ",time_stats.send_recv.median,rank,num_workers,size,collective,devices_per_node,max_devices_per_node\n\
0,0.5,0,2,2048,send_recv,1,8\n1,0.5,0,2,2048,send_recv,2,8\n";
        assert_eq!(read(send).unwrap(), ["p2p inter_node 2048 1 500", "p2p intra_node 2048 1 500"]);
    }

    #[test]
    fn other_tables_and_cells_are_refused_with_their_place() {
        assert!(read("a,b\n1,2\n").unwrap_err().contains("mlp.csv:1:1: is no table of Vidur's profiler"));
        let broken =
            ",time_stats.send_recv.median,rank,num_workers,size,devices_per_node\n0,0.5,0,two,2048,1\n";
        assert!(read(broken).unwrap_err().contains("mlp.csv:2:1: `num_workers`: found `two`"));
        assert!(read("version https://git-lfs.github.com/spec/v1\n").unwrap_err().contains("git lfs pull"));
    }
}
