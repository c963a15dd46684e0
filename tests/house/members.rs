//! The image builds the dependencies beside empty sources, and cargo then asks for the manifest of every member of the workspace.

use super::read;

fn members() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let list = manifest.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    let names = list.split(',').map(|name| name.trim().trim_matches('"').to_owned());
    names.filter(|name| !name.is_empty() && name != ".").collect()
}

#[test]
fn the_image_knows_every_member_of_the_workspace() {
    let (image, ignored, build) = (read("Dockerfile"), read(".dockerignore"), read("scripts/build-binary.sh"));
    let members = members();
    assert!(members.len() > 1, "{members:?}");
    for member in members {
        assert!(
            image.contains(&format!("COPY {member}/Cargo.toml {member}/\n")),
            "Dockerfile does not copy the manifest of {member}"
        );
        assert!(
            ignored.lines().any(|line| line == format!("!{member}/Cargo.toml")),
            ".dockerignore keeps the manifest of {member} out"
        );
        assert!(build.contains(&format!(" {member}/src")), "scripts/build-binary.sh makes no empty {member}/src");
    }
}
