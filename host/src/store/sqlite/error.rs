//! One place where an SQLite error becomes a [`StoreError`].

use rusqlite::{Error, ErrorCode, ffi};

use crate::store::StoreError;

/// SQLite's own texts name tables and columns, never values; texts that could hold a stored value are replaced.
impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::SqliteFailure(cause, text) => {
                let text = text.unwrap_or_else(|| cause.to_string());
                match cause.code {
                    ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
                    ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(text),
                    _ => Self::Unavailable(text),
                }
            }
            Error::FromSqlConversionFailure(column, ..)
            | Error::IntegralValueOutOfRange(column, _)
            | Error::InvalidColumnType(column, ..) => {
                Self::Corrupt(format!("column {column} of a row holds what it cannot hold"))
            }
            Error::Utf8Error(..) => Self::Corrupt("a text is not UTF-8".to_owned()),
            Error::ToSqlConversionFailure(_) => {
                Self::Unavailable("a number is too large to be stored".to_owned())
            }
            Error::SqlInputError { error, msg, .. } => Self::Unavailable(format!("{error}: {msg}")),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Whether a constraint on a unique name or identifier was violated.
pub(super) fn is_duplicate(error: &Error) -> bool {
    matches!(
        error.sqlite_error(),
        Some(cause) if cause.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE
            || cause.extended_code == ffi::SQLITE_CONSTRAINT_PRIMARYKEY
    )
}

/// Turns a violated uniqueness into [`StoreError::Exists`].
pub(super) fn or_exists(what: &'static str, name: &str) -> impl FnOnce(Error) -> StoreError {
    let name = name.to_owned();
    move |error| {
        if is_duplicate(&error) {
            StoreError::Exists { what, name }
        } else {
            error.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> Error {
        Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn each_sqlite_code_is_the_outage_that_it_means() {
        assert!(matches!(failure(ffi::SQLITE_BUSY).into(), StoreError::Busy));
        assert!(matches!(
            failure(ffi::SQLITE_BUSY_SNAPSHOT).into(),
            StoreError::Busy
        ));
        assert!(matches!(failure(ffi::SQLITE_LOCKED).into(), StoreError::Busy));
        assert!(matches!(
            failure(ffi::SQLITE_CORRUPT).into(),
            StoreError::Corrupt(_)
        ));
        assert!(matches!(
            failure(ffi::SQLITE_NOTADB).into(),
            StoreError::Corrupt(_)
        ));
        assert!(matches!(
            failure(ffi::SQLITE_FULL).into(),
            StoreError::Unavailable(_)
        ));
        assert!(matches!(
            failure(ffi::SQLITE_IOERR).into(),
            StoreError::Unavailable(_)
        ));
    }

    #[test]
    fn a_value_that_cannot_be_decoded_is_corruption_and_is_not_quoted() {
        let error = StoreError::from(Error::IntegralValueOutOfRange(3, -7_654_321));
        assert!(
            matches!(&error, StoreError::Corrupt(text) if !text.contains("7654321")),
            "{error}"
        );
    }
}
