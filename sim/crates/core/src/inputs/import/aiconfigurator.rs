//! Tables of aiconfigurator's collectors, as text: `gemm_perf.txt`, `context_attention_perf.txt`,
//! `generation_attention_perf.txt`, `moe_perf.txt` and `nccl_perf.txt`.
//!
//! Times are milliseconds, and sizes of collectives **elements** of the format beside them, not bytes.
//!
//! # Source
//!
//! The folders `collector` and `sdk` of github.com/ai-dynamo/aiconfigurator.

use super::table::{TextRow, TextTable};
use super::{Imported, work_of, wrong};
use crate::inputs::measurement::{Distribution, Family, Machine};
use crate::inputs::text::{InputError, SourceText};

/// The rows of a table; its columns say which one it is.
///
/// # Errors
///
/// A table of another kind, or a cell that cannot be read, with its line.
pub fn import<'m>(source: &SourceText, machine: &'m Machine) -> Result<Imported, InputError> {
    let table = TextTable::read(source)?;
    let read: Read<'m> = if table.has("gemm_dtype") {
        Rows::gemm
    } else if table.has("attn_dtype") {
        Rows::attention
    } else if table.has("moe_dtype") {
        Rows::moe
    } else if table.has("nccl_dtype") {
        Rows::nccl
    } else {
        let expected = "expected a column of gemm_dtype, attn_dtype, moe_dtype, nccl_dtype";
        return Err(wrong(
            source,
            1,
            "",
            format!("is no table of aiconfigurator that sets can hold; {expected}"),
        ));
    };
    let is_context = source.path.rsplit('/').next().is_some_and(|name| name.contains("context"));
    let mut rows = Rows { machine, is_context, imported: Imported::default() };
    for row in table.rows() {
        read(&mut rows, &row)?;
        rows.name_stack(&row);
    }
    Ok(rows.imported)
}

/// Our name of a number format that is stored and computed in as it is; none for mixed and scaled ones.
fn dtype_of(name: &str) -> Option<&'static str> {
    match name {
        "bfloat16" => Some("bf16"),
        "float16" | "half" => Some("fp16"),
        "float32" | "float" => Some("fp32"),
        "fp8" => Some("fp8"),
        "int8" => Some("int8"),
        _ => None,
    }
}

/// Reads a row of one kind of table.
type Read<'m> = fn(&mut Rows<'m>, &TextRow<'_>) -> Result<(), InputError>;

struct Rows<'a> {
    machine: &'a Machine,
    /// The file's name says that prompts were measured, for tables whose rows do not.
    is_context: bool,
    imported: Imported,
}

impl Rows<'_> {
    fn name_stack(&mut self, row: &TextRow<'_>) {
        let (framework, version) = (row.text("framework"), row.text("version"));
        if self.imported.stack.is_none() && !framework.is_empty() {
            // The column of collectives names who asked for them, but the version of NCCL.
            let is_nccl = row.text("kernel_source") == "NCCL";
            let name = if is_nccl { "NCCL" } else { framework };
            self.imported.stack = Some(format!("{name} {version}").trim().to_owned());
        }
    }

    /// Our name of the format in `column`; none, and counted, for formats that are not modelled.
    fn dtype(&mut self, row: &TextRow<'_>, column: &str) -> Option<&'static str> {
        let found = dtype_of(row.text(column));
        if found.is_none() {
            self.imported.leave_out(&format!("{column} {}: no plain number format", row.text(column)));
        }
        found
    }

    fn push(
        &mut self,
        row: &TextRow<'_>,
        family: Family,
        fields: &[(&'static str, String)],
    ) -> Result<(), InputError> {
        let Some(time_us) = row.us_of_ms("latency")? else {
            self.imported.leave_out("rows without a latency");
            return Ok(());
        };
        let work = work_of(family, fields, self.machine).map_err(|(column, text)| row.wrong(column, text))?;
        self.imported.rows.push((work, time_us));
        Ok(())
    }

    fn gemm(&mut self, row: &TextRow<'_>) -> Result<(), InputError> {
        let Some(dtype) = self.dtype(row, "gemm_dtype") else { return Ok(()) };
        let [m, n, k] = ["m", "n", "k"].map(|name| (name, row.text(name).to_owned()));
        self.push(row, Family::Gemm, &[("dtype", dtype.to_owned()), m, n, k])
    }

    /// Prompts of `isl` tokens, or one token each after `isl + step`.
    fn attention(&mut self, row: &TextRow<'_>) -> Result<(), InputError> {
        let Some(dtype) = self.dtype(row, "attn_dtype") else { return Ok(()) };
        let cache = row.text("kv_cache_dtype");
        if !cache.is_empty() && dtype_of(cache) != Some(dtype) {
            self.imported.leave_out("attention over a cache in another format");
            return Ok(());
        }
        if row.number_or::<u64>("window_size", 0)? != 0 || row.number_or::<u64>("beam_width", 1)? != 1 {
            self.imported.leave_out("attention with a window or several beams");
            return Ok(());
        }
        let (isl, step): (u64, u64) = (row.number("isl")?, row.number_or("step", 0)?);
        let is_context = match row.text("op_name") {
            "" => self.is_context,
            name => name.contains("context"),
        };
        let n_heads = row.text("num_heads");
        let n_kv_heads = match row.text("num_key_value_heads") {
            "" | "0" => n_heads,
            found => found,
        };
        let mut fields = vec![
            ("dtype", dtype.to_owned()),
            ("batch", row.text("batch_size").to_owned()),
            ("kv_len", (isl + step).to_string()),
            ("n_heads", n_heads.to_owned()),
            ("n_kv_heads", n_kv_heads.to_owned()),
            ("head_dim", row.text("head_dim").to_owned()),
        ];
        if !is_context {
            return self.push(row, Family::AttentionDecode, &fields);
        }
        fields.push(("q_len", isl.to_string()));
        self.push(row, Family::AttentionPrefill, &fields)
    }

    fn moe(&mut self, row: &TextRow<'_>) -> Result<(), InputError> {
        let Some(dtype) = self.dtype(row, "moe_dtype") else { return Ok(()) };
        let distribution = row.text("distribution");
        if Distribution::of_name(distribution).is_none() {
            self.imported.leave_out(&format!("experts under {distribution}, which is not modelled"));
            return Ok(());
        }
        let named = |(ours, theirs): (&'static str, &str)| (ours, row.text(theirs).to_owned());
        let sizes = [
            ("tokens", "num_tokens"),
            ("hidden", "hidden_size"),
            ("expert_hidden", "inter_size"),
            ("top_k", "topk"),
            ("n_experts", "num_experts"),
            ("tp", "moe_tp_size"),
            ("ep", "moe_ep_size"),
            ("distribution", "distribution"),
        ];
        let fields: Vec<_> = std::iter::once(("dtype", dtype.to_owned())).chain(sizes.map(named)).collect();
        self.push(row, Family::Moe, &fields)
    }

    fn nccl(&mut self, row: &TextRow<'_>) -> Result<(), InputError> {
        let bytes_each: u64 = match row.text("nccl_dtype") {
            "int8" | "fp8" => 1,
            "half" | "float16" | "bfloat16" => 2,
            "float" | "float32" => 4,
            found => {
                let message = format!("found `{found}`; expected one of int8, half, bfloat16, float");
                return Err(row.wrong("nccl_dtype", message));
            }
        };
        let kind = match row.text("op_name") {
            "alltoall" => "all_to_all",
            other => other,
        };
        let n_elements: u64 = row.number("message_size")?;
        let fields = [
            ("kind", kind.to_owned()),
            ("bytes", n_elements.saturating_mul(bytes_each).to_string()),
            ("n_gpus", row.text("num_gpus").to_owned()),
        ];
        self.push(row, Family::Collective, &fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Imported, String> {
        let source = SourceText { path: name.to_owned(), text: text.to_owned() };
        import(&source, &Machine::assumed("a100-sxm4-80gb")).map_err(|error| error.to_string())
    }

    fn lines(imported: &Imported) -> Vec<String> {
        let line = |(work, time_us): &(crate::inputs::measurement::Work, f64)| {
            let cells: Vec<_> = work.columns().iter().map(|(_, value)| value.to_string()).collect();
            format!("{} {} {time_us}", work.family().name(), cells.join(" "))
        };
        imported.rows.iter().map(line).collect()
    }

    #[test]
    fn products_and_experts_keep_their_columns() {
        let gemm = "framework,version,device,op_name,kernel_source,gemm_dtype,m,n,k,latency\n\
VLLM,1.2,card,gemm,x,bfloat16,1,2,3,0.5\nVLLM,1.2,card,gemm,x,fp8_block,1,2,3,0.5\n";
        let found = read("gemm_perf.txt", gemm).unwrap();
        assert_eq!(lines(&found), ["gemm bf16 1 2 3 500"]);
        assert_eq!(found.stack.as_deref(), Some("VLLM 1.2"));
        assert_eq!(found.left_out.len(), 1);
        let moe = "moe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,moe_ep_size,distribution,latency\n\
bfloat16,8,64,128,2,16,1,4,power_law_1.2,0.5\nbfloat16,8,64,128,2,16,1,4,sampled,0.5\n";
        let found = read("moe_perf.txt", moe).unwrap();
        assert_eq!(lines(&found), ["moe bf16 8 64 128 2 16 1 4 power_law_1.2 500"]);
    }

    /// A token after isl = 1 and step = 127 meets 128 cached ones.
    #[test]
    fn attention_is_of_prompts_or_of_tokens() {
        let header = "op_name,batch_size,isl,num_heads,num_key_value_heads,head_dim,beam_width,attn_dtype,kv_cache_dtype,step,latency\n";
        let text = format!(
            "{header}context_attention,2,64,8,2,128,1,bfloat16,bfloat16,0,0.5\n\
generation_attention,2,1,8,0,128,1,bfloat16,bfloat16,127,0.5\ngeneration_attention,2,1,8,2,128,1,bfloat16,fp8,127,0.5\n"
        );
        let found = read("a.txt", &text).unwrap();
        let expected =
            ["attention_prefill bf16 2 64 64 8 2 128 500", "attention_decode bf16 2 128 8 8 128 500"];
        assert_eq!(lines(&found), expected);
        assert_eq!(found.left_out.values().sum::<u64>(), 1);
    }

    /// 512 elements of 2 bytes: 1,024 bytes.
    #[test]
    fn sizes_of_collectives_are_elements() {
        let text = "framework,version,op_name,kernel_source,nccl_dtype,num_gpus,message_size,latency\n\
TRTLLM,2.27.3,alltoall,NCCL,half,8,512,0.5\nTRTLLM,2.27.3,all_gather,NCCL,int8,8,512,0.5\n";
        let found = read("nccl_perf.txt", text).unwrap();
        assert_eq!(
            lines(&found),
            ["collective all_to_all 1024 8 1 500", "collective all_gather 512 8 1 500"]
        );
        assert_eq!(found.stack.as_deref(), Some("NCCL 2.27.3"));
    }

    #[test]
    fn other_tables_and_cells_are_refused_with_their_place() {
        assert!(
            read("x.txt", "a,b\n1,2\n").unwrap_err().contains("x.txt:1:1: is no table of aiconfigurator")
        );
        let broken = "gemm_dtype,m,n,k,latency\nbfloat16,1,2,none,0.5\n";
        assert!(read("x.txt", broken).unwrap_err().contains("x.txt:2:1: `k`: found `none`"));
        let late = "gemm_dtype,m,n,k,latency\nbfloat16,1,2,3,-1\n";
        assert!(read("x.txt", late).unwrap_err().contains("`latency`: found `-1`"));
    }
}
