use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;

use super::shown::Shown;
use crate::{
    clock::{self, Millis},
    text::spell,
    token::{GrantedRole, Identity, Invitation, Rights, TokenError, is_invitation},
};

#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    shown: Shown,
}

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let text = self.shown.text()?;
        let now = clock::system();
        let outcome = if is_invitation(&text) {
            self.shown
                .deployment
                .keys(self.shown.token.most_lifetime())?
                .verify(&text, now)
                .map(|invitation| of_invitation(&invitation))
        } else {
            self.shown.verifier()?.verify(&text, now).map(|identity| of_identity(&identity))
        };
        Ok(tell(outcome))
    }
}

fn tell(outcome: Result<String, TokenError>) -> ExitCode {
    match outcome {
        Ok(said) => {
            print!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("tandem: refused: {error}");
            ExitCode::FAILURE
        }
    }
}

pub(super) fn of_identity(identity: &Identity) -> String {
    let Identity { user, rooms, role, rights, name, metadata, expires_at, jti, .. } = identity;
    let mut lines = vec![
        ("user", user.to_string()),
        ("rooms", rooms.to_string()),
        ("role", of_role(*role)),
        ("rights", of_rights(*rights)),
    ];
    lines.extend(name.as_ref().map(|name| ("name", name.to_string())));
    lines.extend(metadata.as_ref().map(|metadata| ("metadata", metadata.to_string())));
    lines.extend(jti.as_ref().map(|jti| ("jti", jti.to_string())));
    lines.push(("expires", moment(*expires_at)));
    table(&lines)
}

pub(super) fn of_invitation(invitation: &Invitation) -> String {
    let Invitation { room, role, rights, uses, expires_at, id, .. } = invitation;
    table(&[
        ("invitation", id.to_string()),
        ("room", room.to_string()),
        ("role", of_role(*role)),
        ("rights", of_rights(*rights)),
        ("uses", uses.map_or_else(|| "without end".to_owned(), |uses| uses.to_string())),
        ("expires", moment(*expires_at)),
    ])
}

fn of_role(role: Option<GrantedRole>) -> String {
    role.map_or("as the room decides", GrantedRole::name).to_owned()
}

fn of_rights(rights: Rights) -> String {
    if rights == Rights::NONE { "none".to_owned() } else { rights.to_string() }
}

fn table(lines: &[(&str, String)]) -> String {
    lines.iter().fold(String::new(), |table, (name, value)| table + &format!("{name:<11} {}\n", spell(value)))
}

fn moment(at: Millis) -> String {
    let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.map_or_else(|| "at no time that there is".to_owned(), |at| at.to_string())
}
