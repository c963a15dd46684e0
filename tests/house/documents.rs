//! Links between the documents lead somewhere, and the source files that they name exist.

use super::{files, read, root};

/// The anchor that a heading gets: in small letters, without punctuation, with hyphens for blanks.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    kept.map(|char| if char == ' ' { '-' } else { char }).collect()
}

fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// Where the links of a text lead, but for those to other servers.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.contains("://")).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut documents = files("docs", ".md");
    documents
        .extend(["README", "ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY"].map(|name| format!("{name}.md")));
    let mut broken = Vec::new();
    for document in &documents {
        let text = read(document);
        for link in links(&text) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let folder = root().join(document).parent().unwrap().to_owned();
            let target = if path.is_empty() { root().join(document) } else { folder.join(path) };
            let there = target.exists()
                && (heading.is_empty()
                    || anchors(&std::fs::read_to_string(&target).unwrap()).iter().any(|it| it == heading));
            if !there {
                broken.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

/// The paths in backticks that look like source files.
fn sources(text: &str) -> Vec<&str> {
    let endings = [".rs", ".lua", ".sql", ".js", ".json", ".toml", ".yml"];
    let named = text.split('`').skip(1).step_by(2).filter(|word| endings.iter().any(|ending| word.ends_with(ending)));
    let is_path =
        |word: &&str| word.chars().all(|char| char.is_alphanumeric() || "/._-".contains(char)) && !word.contains("..");
    named.filter(is_path).collect()
}

/// From the root, or from `src`, or by its name alone.
#[test]
fn every_source_file_that_a_document_names_is_there() {
    let mut all = files("src", "");
    for folder in [".github", "benches", "crates", "k8s", "schema", "tests"] {
        all.extend(files(folder, ""));
    }
    let mut missing = Vec::new();
    for document in
        files("docs", ".md").into_iter().chain(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(str::to_owned))
    {
        let text = read(&document);
        for name in sources(&text) {
            let there = root().join(name).exists() || all.iter().any(|file| file.ends_with(&format!("/{name}")));
            if !there {
                missing.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "named, but not there:\n{}", missing.join("\n"));
}

#[test]
fn an_anchor_is_that_of_its_heading() {
    assert_eq!(anchor(" Who may use a userId"), "who-may-use-a-userid");
    assert_eq!(
        anchor("## What is checked, and what could not be".trim_start_matches('#')),
        "what-is-checked-and-what-could-not-be"
    );
    assert_eq!(links("[a](b.md#c) and [d](https://example.org) ![e](f.svg)"), ["b.md#c", "f.svg"]);
}
