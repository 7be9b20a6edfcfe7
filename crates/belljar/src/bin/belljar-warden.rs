//! The program that runs one container; see the crate `belljar-warden`.

fn main() -> std::process::ExitCode {
    belljar_warden::main()
}
