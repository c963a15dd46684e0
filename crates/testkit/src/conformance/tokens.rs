use tandem::{
    backend::{Backend, Claim, InvitationUse, LogPosition, RevocationPage},
    id::{RoomId, UserId},
    room::Digest,
    token::{Revocation, Target},
};

use crate::fixture::{Fixture, NOW, nobody};

fn revocation(target: Target, until: u64) -> Revocation {
    Revocation { target, issued_before: NOW, until }
}

fn of_token(name: &str, until: u64) -> Revocation {
    revocation(Target::Token(name.into()), until)
}

async fn all(node: &dyn Backend) -> Vec<Revocation> {
    let (mut all, mut after) = (Vec::new(), LogPosition::default());
    loop {
        let page = node.revocations(after).await.unwrap();
        assert!(page.position >= after && page.continues, "{page:?}");
        if page.position == after {
            return all;
        }
        after = page.position;
        all.extend(page.revocations);
    }
}

pub async fn every_node_reads_what_was_revoked_in_order(fixture: &impl Fixture) {
    let (north, south) = (fixture.node("north", nobody()).await, fixture.node("south", nobody()).await);
    let nothing = RevocationPage { revocations: Vec::new(), position: LogPosition::default(), continues: true };
    assert_eq!(south.revocations(LogPosition::default()).await.unwrap(), nothing);
    let first = [
        of_token("one", NOW + 1_000),
        revocation(Target::User(UserId::parse("ana#phone").unwrap()), NOW + 2_000),
        revocation(Target::Room(RoomId::parse("film: \u{2615}").unwrap()), NOW + 3_000),
    ];
    north.revoke(&first, NOW).await.unwrap();
    let page = south.revocations(LogPosition::default()).await.unwrap();
    let told: Vec<_> = page.revocations.iter().map(|it| (&it.target, it.until)).collect();
    assert_eq!(told, first.iter().map(|it| (&it.target, it.until)).collect::<Vec<_>>());
    south.revoke(&[of_token("two", NOW + 1_000)], NOW).await.unwrap();
    let news = north.revocations(page.position).await.unwrap();
    assert_eq!(news.revocations.len(), 1, "only what is new");
    assert!(news.continues);
    assert!(north.revocations(news.position).await.unwrap().revocations.is_empty());
}

pub async fn many_revocations_are_read_page_by_page(fixture: &impl Fixture) {
    let node = fixture.node("north", nobody()).await;
    let many: Vec<_> = (0..1_234).map(|number| of_token(&number.to_string(), NOW + 1_000)).collect();
    node.revoke(&many, NOW).await.unwrap();
    let read = all(&*node).await;
    assert!(read.iter().map(|it| &it.target).eq(many.iter().map(|it| &it.target)));
}

pub async fn what_is_over_makes_place(fixture: &impl Fixture) {
    let node = fixture.node("north", nobody()).await;
    node.revoke(&[of_token("over", NOW + 1), of_token("holds", NOW + 10_000)], NOW).await.unwrap();
    node.revoke(&[of_token("later", NOW + 10_000)], NOW + 1).await.unwrap();
    let left: Vec<_> = all(&*node).await.into_iter().map(|it| it.target).collect();
    assert_eq!(left, [Target::Token("holds".into()), Target::Token("later".into())]);
    // What a node has read and the store has no more is told, also if newer ones are there.
    let last = node.revocations(LogPosition::default()).await.unwrap().position;
    node.revoke(&[of_token("newest", NOW + 90_000)], NOW + 20_000).await.unwrap();
    assert!(!node.revocations(last).await.unwrap().continues);
}

pub async fn an_invitation_is_used_as_often_as_it_may_be(fixture: &impl Fixture) {
    let (north, south) = (fixture.node("north", nobody()).await, fixture.node("south", nobody()).await);
    // The store may forget it once it has expired, by its own clock.
    let until = crate::now_ms() + 60_000;
    let claim = |invitation: &str, by: u8| InvitationUse {
        invitation: invitation.into(),
        by: Digest::new([by; 32]),
        uses: 2,
        until,
    };
    assert_eq!(north.claim_use(&claim("a", 1), NOW).await.unwrap(), Claim::Counted);
    assert_eq!(south.claim_use(&claim("a", 1), NOW).await.unwrap(), Claim::Known);
    assert_eq!(south.claim_use(&claim("a", 2), NOW).await.unwrap(), Claim::Counted);
    assert_eq!(north.claim_use(&claim("a", 3), NOW).await.unwrap(), Claim::Spent);
    assert_eq!(north.claim_use(&claim("b", 3), NOW).await.unwrap(), Claim::Counted, "of another one");
    assert_eq!(north.claim_use(&claim("a", 2), NOW).await.unwrap(), Claim::Known);
    north.release_use(&claim("a", 2)).await.unwrap();
    assert_eq!(south.claim_use(&claim("a", 3), NOW).await.unwrap(), Claim::Counted);
}

pub async fn of_many_at_once_only_so_many_get_a_use(fixture: &impl Fixture) {
    let node = fixture.node("north", nobody()).await;
    let until = crate::now_ms() + 60_000;
    let claims = (0..40_u8).map(|by| {
        let node = &node;
        async move {
            let claim = InvitationUse { invitation: "i".into(), by: Digest::new([by; 32]), uses: 3, until };
            node.claim_use(&claim, NOW).await.unwrap()
        }
    });
    let outcomes = futures_util::future::join_all(claims).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Claim::Counted).count(), 3);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Claim::Spent).count(), 37);
}
