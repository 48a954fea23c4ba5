//! Programs of others that tests hold our files against: found by a script in tests/tools.

use super::process::output_of;
use std::path::{Path, PathBuf};
use std::process::Command;

fn script(name: &str) -> String {
    format!("{}/tests/tools/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Asks `tests/tools/NAME.sh` where a program is; panics with its explanation when it is missing.
pub fn find(name: &str) -> PathBuf {
    let mut command = Command::new("bash");
    command.arg(script(&format!("{name}.sh")));
    let (status, out, error) = output_of(&mut command);
    assert!(status.success(), "{error}");
    PathBuf::from(out.trim_end())
}

/// Every leaf of a JSON file as (path, value), path segments joined by `/`; panics on bad JSON.
/// With `by_lines`, each line is a document and its number the first segment.
pub fn json_leaves(file: &Path, by_lines: bool) -> Vec<(String, String)> {
    let mut command = Command::new(find("python"));
    command.arg(script("json_leaves.py")).arg(file);
    if by_lines {
        command.arg("--lines");
    }
    let (status, out, error) = output_of(&mut command);
    assert!(status.success(), "{}: {error}", file.display());
    out.lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(path, value)| {
            (
                path.to_owned(),
                value.replace("\\n", "\n").replace("\\\\", "\\"),
            )
        })
        .collect()
}
