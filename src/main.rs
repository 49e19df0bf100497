//! The binary: parses the command line and runs it.

/// Shared by the bridge and `RocksDB`: it gives memory back that is free, where the allocator of the C library keeps most of it.
#[cfg(all(feature = "embedded", not(target_env = "msvc")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    matrix_appservice_letta::cli::main()
}
