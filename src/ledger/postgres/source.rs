use jiff::Timestamp;
use serde_json::{Value, value::RawValue};
use tokio_postgres::Row;
use uuid::Uuid;

use super::LedgerError;
use crate::ledger::cell::{Source, iso_of};

impl Source for Row {
    type Error = LedgerError;

    fn text(&self, column: &'static str) -> Result<Option<String>, LedgerError> {
        Ok(self.try_get(column)?)
    }

    fn integer(&self, column: &'static str) -> Result<Option<i64>, LedgerError> {
        Ok(self.try_get(column)?)
    }

    fn double(&self, column: &'static str) -> Result<f64, LedgerError> {
        Ok(self.try_get(column)?)
    }

    fn boolean(&self, column: &'static str) -> Result<bool, LedgerError> {
        Ok(self.try_get(column)?)
    }

    fn time(&self, column: &'static str) -> Result<Timestamp, LedgerError> {
        Ok(self.try_get(column)?)
    }

    fn iso(&self, column: &'static str) -> Result<String, LedgerError> {
        self.time(column).map(iso_of)
    }

    fn id(&self, column: &'static str) -> Result<String, LedgerError> {
        Ok(self.try_get::<_, Uuid>(column)?.to_string())
    }

    /// In one form, whoever wrote it.
    fn json(&self, column: &'static str) -> Result<Box<RawValue>, LedgerError> {
        let value: Value = self.try_get(column)?;
        RawValue::from_string(value.to_string()).map_err(|_| LedgerError::Range(column))
    }
}
