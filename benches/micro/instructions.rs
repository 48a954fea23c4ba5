//! Instructions per piece, as valgrind counts them: the difference between two runs of the same
//! program that differ only in how often the piece is done.

use std::process::Command;

const FEW: usize = 1_000;
const MANY: usize = 3_000;
/// Names the piece and how often, for the run under valgrind.
const TASK: &str = "PGWEIR_BENCH_PIECE";

/// Does what was asked for on the command line or by the parent; false when it was neither.
pub fn is_asked_for(pieces: &[&str], run: fn(&str, usize)) -> bool {
    if let Ok(task) = std::env::var(TASK) {
        let (name, times) = task.split_once('*').unwrap();
        run(name, times.parse().unwrap());
        return true;
    }
    if !std::env::args().any(|argument| argument == "--instructions") {
        return false;
    }
    println!("instructions per piece");
    for name in pieces {
        let each = (count(name, MANY) - count(name, FEW)) / (MANY - FEW) as i64;
        println!("{name:28} {each:>8}");
    }
    true
}

/// Of one thread: the one that does the piece.
fn count(name: &str, times: usize) -> i64 {
    let out = std::env::temp_dir().join(format!("pgweir-bench-{}", std::process::id()));
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .env(TASK, format!("{name}*{times}"))
        .output()
        .unwrap_or_else(|error| panic!("valgrind is needed: {error}"));
    let first = out.with_extension("");
    let file = format!("{}-01", first.display());
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)));
    let folder = out.parent().unwrap();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let prefix = first.file_name().unwrap().to_string_lossy();
        if entry.file_name().to_string_lossy().starts_with(&*prefix) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    let total = text.lines().find_map(|line| {
        line.strip_prefix("totals: ")
            .or(line.strip_prefix("summary: "))
    });
    total.unwrap().trim().parse().unwrap()
}
