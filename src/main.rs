//! See the library: `src/lib.rs` is the tour.

fn main() -> std::process::ExitCode {
    tandem::cli::main()
}
