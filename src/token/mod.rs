//! Tokens: who an application says that its users are, and what they may do. `docs/tokens.md` lists the claims.

mod algorithm;
mod claims;
mod error;
mod explain;
mod field;
mod generate;
mod head;
mod identity;
mod invitation;
mod jwks;
mod key;
mod key_set;
mod key_spec;
mod pem;
mod provider;
mod revocation;
mod revoked;
mod rooms;
mod rules;
mod sign;
mod verifier;

pub use crate::room::{GrantedRole, Right, Rights};
pub use algorithm::Algorithm;
pub use error::TokenError;
pub use explain::Explanation;
pub use generate::{NewKey, NoNewKey};
pub use identity::{Identity, TokenId};
pub use invitation::{Invitation, InvitationKeys, NewInvitation};
pub use jwks::{BadJwksUrl, JwksSettings, JwksStatus, JwksUrl, Pace};
pub use key::Key;
pub use key_set::{Ambiguous, KeySet};
pub use key_spec::{BadKey, CannotMint, KeySpec, KeySpecs};
pub use revocation::{Revocation, Revocations, RevocationsFull, Target};
pub use revoked::Revoked;
pub use rooms::{RoomPattern, Rooms};
pub use rules::{Rules, VerifierSettings};
pub use sign::{CannotSign, SigningKey};
pub use verifier::{SettingsError, Verifier};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4096;
/// Whether a text says that it is an invitation, which is verified with other keys.
pub fn is_invitation(text: &str) -> bool {
    head::Head::read(text).is_ok_and(|head| head.typ.as_deref() == Some(INVITATION))
}

/// The type, in the header, of a token that is an invitation by this server.
const INVITATION: &str = "tandem-invitation+jwt";
