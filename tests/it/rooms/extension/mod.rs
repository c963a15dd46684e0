//! What a better server must not break, point by point: the browser extension of the first generation comes unmodified.
//! The numbers are those of the list that was drawn up from the running extension (it has no 19).

mod joining;
mod playing;
mod serving;

use tandem_testkit::{Extension, TestApp};

const ROOM: &str = "default_room_1795295285521";
const ALICE: &str = "user_c0gch0c";
const BOB: &str = "user_r8vkiq1";
const FILM: &str = "https://www.netflix.com/watch/100";

/// Alice, the host, and Bob, a guest; both have read all there is to read.
async fn pair(app: &TestApp) -> (Extension, Extension) {
    let mut alice = Extension::join(app, ROOM, ALICE).await;
    let bob = Extension::join(app, ROOM, BOB).await;
    alice.expect("USER_JOINED").await;
    (alice, bob)
}
