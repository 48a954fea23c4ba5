//! The binary: the allocator, and the library's `main`.

use std::process::ExitCode;

// Buffers and tasks come and go with clients; jemalloc gives their memory back and keeps small
// objects dense, which is most of what an idle client costs.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    pgweir::app::main(std::env::args_os())
}
