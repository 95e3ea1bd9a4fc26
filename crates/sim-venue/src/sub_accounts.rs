//! Virtual sub-accounts: accounts that belong to a main account and log in by keys alone.

use crate::reject::Reject;
use crate::venue::Venue;

/// Sub-accounts of one main account.
pub(crate) const SUBS_MAX: usize = 20;
/// Letters of a sub-account's name (venue document).
const NAME_LETTERS: usize = 8;

impl Venue {
    /// The sub-accounts of a main account, oldest first.
    pub(crate) fn subs_of(&self, main: usize) -> Vec<usize> {
        let all = self.accounts.iter().enumerate();
        all.filter(|(_, account)| account.parent == Some(main)).map(|(index, _)| index).collect()
    }

    /// Opens a sub-account without balances.
    pub(crate) fn open_sub(&mut self, main: usize, name: &str) -> Result<usize, Reject> {
        let mode = self.accounts.get(main).ok_or_else(|| Reject::new("40013", "Account abnormal"))?.mode;
        if name.len() != NAME_LETTERS || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            let words = format!("Parameter verification failed subAccountName: exactly {NAME_LETTERS} letters");
            return Err(Reject::new("40017", words));
        }
        if self.accounts.iter().any(|account| account.name.eq_ignore_ascii_case(name)) {
            return Err(Reject::new("40017", format!("Parameter verification failed subAccountName: {name} is taken")));
        }
        let full = || Reject::new("40032", "The max of sub-account created has reached the limit");
        if self.subs_of(main).len() >= SUBS_MAX {
            return Err(full());
        }
        let index = self.open_account(mode, Some(main)).ok_or_else(full)?;
        let now_ms = self.now_ms();
        if let Some(account) = self.accounts.get_mut(index) {
            account.name = name.to_ascii_lowercase();
            account.created_ms = now_ms;
        }
        Ok(index)
    }

    /// The account of `main` with a user number: itself or one of its sub-accounts.
    pub(crate) fn own_account(&self, main: usize, user: &str) -> Result<usize, Reject> {
        let user: u64 = user.parse().map_err(|_| Reject::invalid("uid"))?;
        let found = self.accounts.iter().position(|account| account.user == user);
        let own = found.filter(|index| {
            *index == main || self.accounts.get(*index).is_some_and(|account| account.parent == Some(main))
        });
        own.ok_or_else(|| Reject::new("40029", "This subUid does not belong to this account"))
    }

    /// A virtual sub-account of `main`.
    pub(crate) fn own_sub(&self, main: usize, user: &str) -> Result<usize, Reject> {
        let index = self.own_account(main, user)?;
        if index == main {
            return Err(Reject::new("40066", "This subAccount is not a virtual sub-account"));
        }
        Ok(index)
    }

    /// Freezes or thaws an account; its requests and open streams follow at once.
    pub(crate) fn set_frozen(&mut self, account: usize, frozen: bool) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.frozen = frozen;
        }
        self.judge_streams();
    }
}

#[cfg(test)]
mod tests {
    use crate::Market;
    use crate::desk::tests::venue;

    #[test]
    fn names_are_eight_letters_taken_once_and_bounded_in_number() {
        let (_, mut venue) = venue(Market::Quiet);
        for bad in ["short", "toolongname", "with1dig", "umlautüx"] {
            assert_eq!(venue.open_sub(0, bad).unwrap_err().code, "40017", "{bad}");
        }
        let first = venue.open_sub(0, "Eightltr").unwrap();
        assert_eq!(venue.open_sub(0, "eightltr").unwrap_err().code, "40017");
        for letter in 'a'..'t' {
            venue.open_sub(0, &format!("subsubs{letter}")).unwrap();
        }
        assert_eq!(venue.open_sub(0, "onemores").unwrap_err().code, "40032");
        let user = venue.accounts[first].user.to_string();
        assert_eq!(venue.own_sub(0, &user), Ok(first));
        assert_eq!(venue.own_sub(first, &user).unwrap_err().code, "40066");
        assert_eq!(venue.own_sub(0, "1").unwrap_err().code, "40029");
        venue.set_frozen(first, true);
        assert!(venue.frozen(first) && !venue.frozen(0));
    }
}
