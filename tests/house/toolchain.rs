//! The version of the compiler stands where its readers look for it: rustup, cargo, the image, and the pipeline. They agree.

use super::read;

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before}")).1;
    rest.split_once(after).unwrap_or_else(|| panic!("no {after} after {before}")).0
}

#[test]
fn one_version_of_the_compiler_is_named_everywhere() {
    let toolchain = read("rust-toolchain.toml");
    let version = between(&toolchain, "channel = \"", "\"");
    assert!(version.starts_with(&format!("{}.", between(&read("Cargo.toml"), "rust-version = \"", "\""))), "{version}");
    assert_eq!(between(&read("Dockerfile"), " rust:", "-slim"), version);
    for workflow in ["test.yml", "nightly.yml"] {
        let text = read(&format!(".github/workflows/{workflow}"));
        assert_eq!(between(&text, "container: rust:", "-"), version, "{workflow}");
    }
}
