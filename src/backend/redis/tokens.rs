use async_trait::async_trait;

use super::{
    answer::corrupt,
    node::RedisNode,
    revocation_log::{Answer, PAGE, add, page, read_after, script},
};
use crate::{
    backend::{BackendError, Claim, InvitationUse, LogPosition, RevocationPage, TokenStore},
    clock::Millis,
    token::{Revocation, RevocationsFull},
};

#[async_trait]
impl TokenStore for RedisNode {
    async fn revoke(&self, revocations: &[Revocation], now: Millis) -> Result<(), BackendError> {
        let script = script();
        for page in revocations.chunks(PAGE) {
            let added: i64 = self.main().invoke(&add(&script, &self.layout, page, now)).await?;
            if added == 0 {
                return Err(RevocationsFull.into());
            }
        }
        Ok(())
    }

    async fn revocations(&self, after: LogPosition) -> Result<RevocationPage, BackendError> {
        let call = read_after(&self.scripts.revocations, &self.layout, after);
        let answer: Answer = self.main().invoke(&call).await?;
        let wrong = || corrupt("the log of revocations", &"it is not what tandem writes");
        let (page, strange) = page(answer, after).ok_or_else(wrong).inspect_err(|error| self.faults.note(error))?;
        if strange > 0 {
            self.faults.note(&wrong());
        }
        Ok(page)
    }

    async fn claim_use(&self, claim: &InvitationUse, _now: Millis) -> Result<Claim, BackendError> {
        let mut call = self.scripts.claim.key(self.layout.uses(&claim.invitation));
        call.arg(String::from(claim.by)).arg(claim.uses).arg(claim.until);
        let answer: i64 = self.main().invoke(&call).await?;
        Ok(match answer {
            0 => Claim::Counted,
            1 => Claim::Known,
            _ => Claim::Spent,
        })
    }

    async fn release_use(&self, claim: &InvitationUse) -> Result<(), BackendError> {
        let key = self.layout.uses(&claim.invitation);
        let _: i64 = self.main().ask(redis::cmd("SREM").arg(key).arg(String::from(claim.by))).await?;
        Ok(())
    }
}
