//! The binary: parses the command line and runs it.

fn main() -> std::process::ExitCode {
    matrix_appservice_letta::cli::main()
}
