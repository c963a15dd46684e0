//! Tokens and invitations, from the command line.

mod explain;
mod invite;
mod key;
mod mint;
mod shown;
mod ttl;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(super) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a new token
    Mint(mint::Mint),
    /// Say who holds a token, or what an invitation is for; the exit code is 1 if it would be refused
    Verify(verify::Verify),
    /// Print what a token or an invitation says, and what each check says of it; the exit code is 1 if it would be refused
    Explain(explain::Explain),
    /// Print a new invitation into a room, signed with the key of this deployment
    Invite(invite::Invite),
    /// Make a key that signs tokens
    Key(key::MakeKey),
}

impl Token {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Mint(mint) => mint.run(),
            Command::Verify(verify) => verify.run(),
            Command::Explain(explain) => explain.run(),
            Command::Invite(invite) => invite.run(),
            Command::Key(key) => key.run(),
        }
    }
}
