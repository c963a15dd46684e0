use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::{
    shown::Shown,
    verify::{of_identity, of_invitation},
};
use crate::{
    clock,
    text::spell,
    token::{Explanation, is_invitation},
};

#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    shown: Shown,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let text = self.shown.text()?;
        let now = clock::system();
        let (told, meaning) = if is_invitation(&text) {
            let keys = self.shown.deployment.keys(self.shown.token.most_lifetime())?;
            (keys.explain(&text, now), keys.verify(&text, now).ok().map(|invitation| of_invitation(&invitation)))
        } else {
            let verifier = self.shown.verifier()?;
            let identity = verifier.verify(&text, now).ok();
            (verifier.explain(&text, now), identity.map(|identity| of_identity(&identity)))
        };
        print(&told, meaning.as_deref());
        Ok(if told.is_accepted() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn print(told: &Explanation, meaning: Option<&str>) {
    let json = |part: &Option<Value>| {
        part.as_ref().map_or_else(|| "cannot be read".to_owned(), |json| spell(&json.to_string()))
    };
    println!("header      {}\nclaims      {}\n", json(&told.header), json(&told.claims));
    for (name, outcome) in &told.checks {
        match outcome {
            Ok(()) => println!("{name:<11} passed"),
            Err(error) => println!("{name:<11} REFUSED: {error}"),
        }
    }
    match meaning {
        Some(meaning) => print!("\n{meaning}"),
        None => println!("\nrefused"),
    }
}
