//! [`Fault`]: what a database error means for the request.

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::sqlite::SqliteError; // chapter: postgres

/// The cause of an error, and whether the same request may work later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The database is unavailable or busy, or has ended the statement so that others can go on.
    Outage,
    /// Such a row exists already.
    Exists,
    /// A constraint, a trigger or a column refuses the value.
    NotStorable,
    /// The row that the statement is about does not exist.
    NotFound,
    /// A statement, a type or the schema is wrong. This is a bug.
    Program,
}

// === impl Fault ===

impl Fault {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => Self::of_database(&**error),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Outage,
            sqlx::Error::RowNotFound => Self::NotFound,
            // A value that the protocol cannot carry, such as a date that is out of range.
            sqlx::Error::Encode(_) => Self::NotStorable,
            // A value that could not be decoded, a missing column, a wrong configuration.
            _ => Self::Program,
        }
    }

    fn of_database(error: &dyn DatabaseError) -> Self {
        match error.kind() {
            ErrorKind::UniqueViolation | ErrorKind::ExclusionViolation => return Self::Exists,
            ErrorKind::ForeignKeyViolation
            | ErrorKind::NotNullViolation
            | ErrorKind::CheckViolation => return Self::NotStorable,
            _ => {}
        }
        let code = error.code().unwrap_or_default();
        // chapter: postgres {
        if error.try_downcast_ref::<SqliteError>().is_none() {
            return Self::of_sqlstate(&code);
        }
        // chapter: postgres }
        Self::of_sqlite(code.parse().unwrap_or_default())
    }

    /// Classifies by the primary result code: <https://sqlite.org/rescode.html>.
    fn of_sqlite(code: u32) -> Self {
        /// A rowid that exists already. sqlx counts it as "other".
        const CONSTRAINT_ROWID: u32 = 2579;
        match (code, code & 0xff) {
            (CONSTRAINT_ROWID, _) => Self::Exists,
            // TOOBIG, CONSTRAINT, MISMATCH
            (_, 18..=20) => Self::NotStorable,
            // PERM, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, CORRUPT
            (_, 3 | 5..=11) => Self::Outage,
            // FULL, CANTOPEN, PROTOCOL, SCHEMA, NOTADB
            (_, 13..=15 | 17 | 26) => Self::Outage,
            _ => Self::Program,
        }
    }

    // chapter: postgres {
    /// Classifies by the class of the SQLSTATE:
    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn of_sqlstate(code: &str) -> Self {
        match (code.get(..2).unwrap_or_default(), code) {
            // A read-only server: another one is the primary now.
            (_, "25006") => Self::Outage,
            // A prepared statement that a pooler has lost, or that a migration has outdated.
            (_, "26000" | "0A000") => Self::Outage,
            // Data exceptions (a NUL, a number out of range, a text that is too long), constraints, and
            // what a trigger raises.
            ("22" | "23" | "44", _) | (_, "P0001") => Self::NotStorable,
            // Connection, authorization, unknown database, rollback (deadlock, serialization), resources,
            // lock not available, cancelled, shutting down, system.
            ("08" | "28" | "3D" | "40" | "53" | "55" | "57" | "58", _) => Self::Outage,
            _ => Self::Program,
        }
    }
    // chapter: postgres }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_code_is_judged_by_its_kind() {
        for (code, fault) in [
            (5, Fault::Outage),         // BUSY
            (261, Fault::Outage),       // BUSY_RECOVERY
            (6, Fault::Outage),         // LOCKED
            (8, Fault::Outage),         // READONLY
            (13, Fault::Outage),        // FULL
            (778, Fault::Outage),       // IOERR_WRITE
            (18, Fault::NotStorable),   // TOOBIG
            (1811, Fault::NotStorable), // CONSTRAINT_TRIGGER
            (3091, Fault::NotStorable), // CONSTRAINT_DATATYPE
            (2579, Fault::Exists),      // CONSTRAINT_ROWID
            (1, Fault::Program),        // ERROR: no such table
            (25, Fault::Program),       // RANGE
        ] {
            assert_eq!(Fault::of_sqlite(code), fault, "{code}");
        }
    }

    // chapter: postgres {
    #[test]
    fn a_sqlstate_is_judged_by_its_class() {
        for (code, fault) in [
            ("08006", Fault::Outage),      // connection failure
            ("25006", Fault::Outage),      // read-only transaction
            ("26000", Fault::Outage),      // no such prepared statement
            ("40001", Fault::Outage),      // serialization failure
            ("40P01", Fault::Outage),      // deadlock
            ("53300", Fault::Outage),      // too many connections
            ("55P03", Fault::Outage),      // lock not available
            ("57014", Fault::Outage),      // statement timeout
            ("57P01", Fault::Outage),      // shutdown
            ("22001", Fault::NotStorable), // text too long
            ("22003", Fault::NotStorable), // number out of range
            ("22021", Fault::NotStorable), // NUL
            ("22P02", Fault::NotStorable), // not a number
            ("23001", Fault::NotStorable), // restrict violation
            ("P0001", Fault::NotStorable), // raised by a trigger
            ("42P01", Fault::Program),     // no such table
            ("42501", Fault::Program),     // no permission for the table
            ("25P02", Fault::Program),     // in a failed transaction
            ("", Fault::Program),
        ] {
            assert_eq!(Fault::of_sqlstate(code), fault, "{code}");
        }
    }
    // chapter: postgres }

    #[test]
    fn driver_errors_are_outages_only_if_a_retry_can_help() {
        let none = || "none".into();
        for (error, fault) in [
            (sqlx::Error::PoolTimedOut, Fault::Outage),
            (
                sqlx::Error::Io(std::io::Error::other("reset")),
                Fault::Outage,
            ),
            (sqlx::Error::RowNotFound, Fault::NotFound),
            (sqlx::Error::Encode(none()), Fault::NotStorable),
            (sqlx::Error::Decode(none()), Fault::Program),
            (sqlx::Error::ColumnNotFound("x".to_owned()), Fault::Program),
        ] {
            assert_eq!(Fault::of(&error), fault, "{error:?}");
        }
    }
}
