//! The file of reserved budgets, in the custody directory.
//!
//! Invariants: the file is replaced as a whole and synced before a reservation holds; a file that is damaged, or gone
//! although orders were signed here, is an error and never an empty budget.

use crate::budget::{BudgetStore, Reservation, SavedBudgets, SavedUse};
use crate::codec::{Writer, open, seal};
use crate::disk::{Disk, RealDisk, replace};
use crate::guard_record::segment_number;
use domain::{Epoch, Side, Symbol, UnixNanos};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Keeps the reservations of one account in a custody directory. Whoever opens it holds the directory's lock.
pub struct BudgetFile {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    name: String,
    epoch: Epoch,
    saved: SavedBudgets,
}

/// Why the budgets of earlier runs are not known: no order may be placed until an operator acts.
#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    /// The file system refused.
    #[error("budget file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not one that this program wrote for this directory.
    #[error("budget file {path} is damaged; no order is placed until an operator begins the budgets anew")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// There is no file, but orders were signed in this directory.
    #[error("budget file {path} is gone; no order is placed until an operator begins the budgets anew")]
    Gone {
        /// The file.
        path: PathBuf,
    },
}

const RECORD_LEN: usize = 96;
const MAGIC: [u8; 8] = *b"stdfbudg";
/// Bytes that a symbol can have.
const SYMBOL_LEN: usize = 24;

impl BudgetFile {
    /// The name of the file begins with this; the account's label follows.
    pub const PREFIX: &'static str = "budgets-";
    /// Appended to the name of a file that is set aside when the budgets are begun anew.
    pub const SET_ASIDE: &'static str = ".damaged";
    /// Longest label of an account, in bytes.
    pub const LABEL_MAX: usize = 32;
    /// Longest file read: far more parts than 256 instruments can reserve within a day.
    const LEN_MAX: u64 = 16 * 1_024 * 1_024;

    /// Opens the file of `account` (letters, digits, `-` and `_`) and begins the run `epoch`: what earlier runs reserved
    /// counts as used by `now_unix` and is given to [`crate::PolicyGate::new`]. Open it before the guard log of the
    /// same directory. An account that is linked later has no file yet: [`Self::begin_anew`] makes it.
    ///
    /// # Errors
    /// [`BudgetError`]: make the gate from [`SavedBudgets::unknown`] and call an operator; cancels go on.
    pub fn open(
        dir: &Path,
        account: &str,
        epoch: Epoch,
        now_unix: UnixNanos,
    ) -> Result<(Self, SavedBudgets), BudgetError> {
        Self::open_on(Arc::new(RealDisk), dir, account, epoch, now_unix)
    }

    /// [`Self::open`] on a given file system.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        account: &str,
        epoch: Epoch,
        now_unix: UnixNanos,
    ) -> Result<(Self, SavedBudgets), BudgetError> {
        let name = Self::name(account).map_err(|source| BudgetError::Io { path: dir.to_owned(), source })?;
        let path = dir.join(&name);
        let fail = |source| BudgetError::Io { path: path.clone(), source };
        disk.make_dir(dir).map_err(fail)?;
        let mut saved = match disk.read(&path, Self::LEN_MAX) {
            Ok(bytes) => {
                let (written_in, saved) = decode(&bytes).ok_or_else(|| BudgetError::Damaged { path: path.clone() })?;
                if written_in > epoch {
                    return Err(BudgetError::Damaged { path });
                }
                saved
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let signed = disk.list(dir).map_err(fail)?.iter().any(|name| segment_number(name).is_some());
                if signed {
                    return Err(BudgetError::Gone { path });
                }
                SavedBudgets::none()
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(BudgetError::Damaged { path }),
            Err(error) => return Err(fail(error)),
        };
        saved.end_run(now_unix);
        let file = Self { disk, dir: dir.to_owned(), name: name.clone(), epoch, saved: saved.clone() };
        file.write(&saved).map_err(fail)?;
        Ok((file, saved))
    }

    /// The operator's act after damage, and the first one for a new account: sets the file aside and begins with
    /// nothing used. Whoever calls this has
    /// checked scope and one-time code, and knows that up to a day's limits may be signed once more.
    ///
    /// # Errors
    /// [`BudgetError::Io`].
    pub fn begin_anew(
        dir: &Path,
        account: &str,
        epoch: Epoch,
        now_unix: UnixNanos,
    ) -> Result<(Self, SavedBudgets), BudgetError> {
        let disk = Arc::new(RealDisk);
        let name = Self::name(account).map_err(|source| BudgetError::Io { path: dir.to_owned(), source })?;
        let path = dir.join(&name);
        let fail = |source| BudgetError::Io { path: path.clone(), source };
        disk.make_dir(dir).map_err(fail)?;
        match disk.rename(&path, &dir.join(format!("{name}{}", Self::SET_ASIDE))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
        let mut saved = SavedBudgets::none();
        saved.end_run(now_unix);
        let file = Self { disk, dir: dir.to_owned(), name: name.clone(), epoch, saved: saved.clone() };
        file.write(&saved).map_err(fail)?;
        Ok((file, saved))
    }

    fn name(account: &str) -> io::Result<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if account.is_empty() || account.len() > Self::LABEL_MAX || !account.bytes().all(plain) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a label of an account"));
        }
        Ok(format!("{}{account}", Self::PREFIX))
    }

    fn write(&self, saved: &SavedBudgets) -> io::Result<()> {
        replace(&*self.disk, &self.dir, &self.name, &encode(self.epoch, saved))
    }
}

impl BudgetStore for BudgetFile {
    fn reserve(&mut self, reservation: &Reservation) -> io::Result<()> {
        let mut saved = self.saved.clone();
        saved.apply(reservation);
        self.write(&saved)?;
        self.saved = saved;
        Ok(())
    }
}

fn encode(epoch: Epoch, saved: &SavedBudgets) -> Vec<u8> {
    let mut out = Vec::with_capacity((saved.uses().len() + 1) * RECORD_LEN);
    let mut head = [0_u8; RECORD_LEN];
    let mut fields = Writer::new(&mut head);
    fields.put(&[0; 4]);
    fields.put(&MAGIC);
    fields.put(&epoch.get().to_le_bytes());
    fields.put(&(saved.uses().len() as u64).to_le_bytes());
    fields.put(&saved.latest().0.to_le_bytes());
    fields.put(&saved.wall().0.to_le_bytes());
    seal(&mut head);
    out.extend_from_slice(&head);
    for (number, one) in (0_u32..).zip(saved.uses()) {
        let mut record = [0_u8; RECORD_LEN];
        let mut symbol = [0_u8; SYMBOL_LEN];
        Writer::new(&mut symbol).put(one.symbol.as_bytes());
        let mut fields = Writer::new(&mut record);
        fields.put(&[0; 4]);
        fields.put(&number.to_le_bytes());
        fields.put(&symbol);
        fields.put(&one.from.0.to_le_bytes());
        fields.put(&one.until.map_or(0, |until| until.0).to_le_bytes());
        fields.put(&one.notional.to_le_bytes());
        fields.put(&one.base.to_le_bytes());
        fields.put(&[u8::from(one.side == Side::Sell), u8::from(one.until.is_some())]);
        seal(&mut record);
        out.extend_from_slice(&record);
    }
    out
}

fn decode(bytes: &[u8]) -> Option<(Epoch, SavedBudgets)> {
    let (records, rest) = bytes.as_chunks::<RECORD_LEN>();
    let (head, records) = records.split_first()?;
    let mut fields = open(head)?;
    let sound = rest.is_empty() && fields.take()? == MAGIC;
    let epoch = Epoch::new(fields.u32()?).ok()?;
    let count = fields.u64()?;
    let latest = UnixNanos(fields.u64()?);
    let wall = UnixNanos(fields.u64()?);
    if !sound || !fields.blank() || count != records.len() as u64 {
        return None;
    }
    let uses = (0_u32..).zip(records).map(|(number, record)| decode_use(number, record)).collect::<Option<Vec<_>>>()?;
    let in_time = uses.iter().all(|one| one.from <= latest && one.until.is_none_or(|until| until <= latest));
    in_time.then(|| (epoch, SavedBudgets::from_parts(uses, latest, wall)))
}

fn decode_use(number: u32, record: &[u8; RECORD_LEN]) -> Option<SavedUse> {
    let mut fields = open(record)?;
    if fields.u32()? != number {
        return None;
    }
    let symbol: [u8; SYMBOL_LEN] = fields.take()?;
    let len = symbol.iter().position(|byte| *byte == 0).unwrap_or(symbol.len());
    let symbol = Symbol::from(std::str::from_utf8(symbol.get(..len)?).ok()?).ok()?;
    let from = UnixNanos(fields.u64()?);
    let until = UnixNanos(fields.u64()?);
    let (notional, base) = (fields.i128()?, fields.i128()?);
    let side = match fields.u8()? {
        0 => Side::Buy,
        1 => Side::Sell,
        _ => return None,
    };
    let until = match fields.u8()? {
        0 => None,
        1 => Some(until),
        _ => return None,
    };
    (notional >= 0 && base >= 0 && fields.blank()).then_some(SavedUse { symbol, side, from, until, notional, base })
}
