//! The token that a command is about, and what it is verified with.

use std::{io::Read as _, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use tokio::runtime;

use crate::{
    auth::Keys,
    clock::millis,
    config::TokenConfig,
    node::load_secret,
    token::{InvitationKeys, MAX_TOKEN_BYTES, Verifier},
};

#[derive(Debug, Args)]
pub(super) struct Shown {
    #[command(flatten)]
    pub(super) token: TokenConfig,
    #[command(flatten)]
    pub(super) deployment: Deployment,
    /// The token or invitation; from standard input if it is - or not given, which keeps it out of the list of processes
    #[arg(value_name = "TOKEN")]
    given: Option<String>,
}

/// What invitations are signed with.
#[derive(Debug, Args)]
pub(super) struct Deployment {
    /// Key of the deployment, with which invitations are signed (of a single node, the one in its data directory if not given)
    #[arg(long, env = "TANDEM_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// The other key, while the key is being changed
    #[arg(long, env = "TANDEM_SECRET_PREVIOUS", hide_env_values = true)]
    secret_previous: Option<String>,
    /// Directory of the ledger and of the generated key
    #[arg(long = "data-dir", env = "TANDEM_DATA_DIR", default_value = "data")]
    data_dir: PathBuf,
}

impl Shown {
    pub(super) fn text(&self) -> anyhow::Result<String> {
        if let Some(text) = self.given.as_deref().filter(|text| *text != "-") {
            return Ok(text.to_owned());
        }
        let mut text = String::new();
        let most = u64::try_from(MAX_TOKEN_BYTES)? * 2;
        std::io::stdin().take(most).read_to_string(&mut text).context("cannot read the token from standard input")?;
        Ok(text.trim().to_owned())
    }

    /// A verifier with the settings of a server, and with keys that were fetched now.
    pub(super) fn verifier(&self) -> anyhow::Result<Verifier> {
        let verifier = Verifier::new(&self.token.verifier_settings(), Arc::default())?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        if let Err(error) = runtime.block_on(verifier.fetch_keys()) {
            eprintln!("tandem: AUTH_JWKS_URL: {error}");
        }
        Ok(verifier)
    }
}

impl Deployment {
    pub(super) fn keys(&self, most_lifetime: Duration) -> anyhow::Result<InvitationKeys> {
        if self.secret.is_none() {
            // To look for it would make it.
            let path = self.data_dir.join("secret");
            std::fs::metadata(&path)
                .with_context(|| format!("TANDEM_SECRET is not given, and {} cannot be read", path.display()))?;
        }
        let secret = load_secret(self.secret.as_deref(), &self.data_dir).context("cannot read the secret")?;
        let (now, before) = Keys::new(&secret).with_previous(self.secret_previous.as_deref()).invitations();
        InvitationKeys::new(&now, before.as_ref(), millis(most_lifetime)).map_err(anyhow::Error::msg)
    }
}
