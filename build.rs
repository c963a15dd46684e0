//! The page is part of the binary: a file that is added to it must be noticed.

fn main() {
    println!("cargo::rerun-if-changed=src/web");
}
