//! How to tell the pepper from another, in the one row of `meta`.

use super::connections::{Lent, WriteGuard};
use super::read::View;
use crate::store::{ReadPepper, Result, StoreError, WritePepper};

const CHECK: &str = "SELECT pepper_check FROM meta";

/// The schemes are those of `wit/types.wit`.
const PEPPERED: &str = "SELECT count(*) FROM token WHERE scheme = 2 OR previous_scheme = 2";

impl<C: Lent> ReadPepper for View<C> {
    fn pepper_check(&self) -> Result<Option<[u8; 32]>> {
        let check = self.first(CHECK, [], |columns| columns.take())?;
        check.ok_or_else(|| StoreError::Corrupt("its one row of facts about itself is missing".to_owned()))
    }

    fn count_peppered(&self) -> Result<u64> {
        Ok(self.first(PEPPERED, [], |columns| columns.take())?.unwrap_or(0))
    }
}

impl WritePepper for View<WriteGuard> {
    fn put_pepper_check(&mut self, check: [u8; 32]) -> Result<()> {
        self.execute(
            "UPDATE meta SET pepper_check = ?1 WHERE pepper_check IS NULL",
            [check],
        )?;
        Ok(())
    }
}
