//! The page and the schemas are part of the binary: a file that is added to them must be noticed.

fn main() {
    println!("cargo::rerun-if-changed=src/web");
    println!("cargo::rerun-if-changed=schema");
}
