//! The values of labels. Each list is closed, so nothing that a client sends becomes a label.

mod against;
mod cause;
mod dropped;
mod frames;
mod invitation;
mod journaled;
mod proxy_header;
mod resource;
mod rooms;
mod sockets;
mod tls;
mod token;

pub use against::Against;
pub use cause::Cause;
pub use dropped::Dropped;
pub use invitation::InvitationRefused;
pub(super) use journaled::Journaled;
pub use proxy_header::ProxyHeaderFault;
pub use rooms::{Gap, Resumed, SeatCheck};
pub use sockets::{PeerDisconnect, Refused};
pub use tls::{TlsHandshake, TlsReload};
pub use token::TokenRefused;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::{Close, Code, Received, ServerFrameType},
        telemetry::Label,
    };

    fn check<L: Label + std::fmt::Debug>() {
        let mut values: Vec<_> = L::ALL.iter().map(|label| label.value()).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), L::ALL.len(), "{values:?}");
        assert!(L::ALL.iter().enumerate().all(|(place, label)| label.place() == place), "{:?}", L::ALL);
    }

    #[test]
    fn each_value_has_a_counter_of_its_own() {
        check::<Received>();
        check::<ServerFrameType>();
        check::<Code>();
        check::<Close>();
        check::<PeerDisconnect>();
        check::<Refused>();
        check::<crate::config::Resource>();
        check::<Resumed>();
        check::<SeatCheck>();
        check::<Gap>();
        check::<Cause>();
        check::<Dropped>();
        check::<InvitationRefused>();
        check::<Journaled>();
        check::<ProxyHeaderFault>();
        check::<TlsHandshake>();
        check::<TlsReload>();
        check::<TokenRefused>();
    }
}
