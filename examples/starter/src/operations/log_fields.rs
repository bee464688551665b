//! [`PlainFields`]: how the log for people writes the fields of an event.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Writes `name=value`, and the message without a name.
///
/// Control characters are written as escape sequences, so that a value can neither pretend to be another line
/// nor change what a terminal shows. The fields have no colors: those of `tracing_subscriber` cost every request
/// a tenth of its time, even where they are off.
#[derive(Debug)]
pub(super) struct PlainFields;

struct Fields<'w> {
    writer: Writer<'w>,
    is_first: bool,
    result: fmt::Result,
}

struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl<'w> FormatFields<'w> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut all = Fields {
            writer,
            is_first: true,
            result: Ok(()),
        };
        fields.record(&mut all);
        all.result
    }
}

// === impl Fields ===

impl Fields<'_> {
    fn write(&mut self, name: &str, value: &dyn Debug) -> fmt::Result {
        if !self.is_first {
            self.writer.write_char(' ')?;
        }
        self.is_first = false;
        if name != "message" {
            self.writer.write_str(name)?;
            self.writer.write_char('=')?;
        }
        write!(Escaped(&mut self.writer), "{value:?}")
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = field.name();
        // `tracing_log` adds such fields to the records of the crate `log`, for other uses.
        if self.result.is_ok() && !name.starts_with("log.") {
            self.result = self.write(name, value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }
}

// === impl Escaped ===

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            let plain = part.trim_end_matches(char::is_control);
            self.0.write_str(plain)?;
            for control in part[plain.len()..].chars() {
                write!(self.0, "{}", control.escape_default())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_value_cannot_pretend_to_be_another_line() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = fmt()
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .fmt_fields(PlainFields)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(log.finish(), || {
            let error = "lost\n INFO logged in\u{1b}[2J\u{9b}m";
            let _span = tracing::info_span!("request", path = "/a\nb").entered();
            tracing::warn!(%error, code = 7, name = "a\r\"b", "the database {error}");
            tracing::info!(log.target = "x", "plain");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let escaped = r"lost\n INFO logged in\u{1b}[2J\u{9b}m";
        let request = r#"request{path="/a\nb"}:"#;
        let expected = [
            format!(
                " WARN {request} the database {escaped} error={escaped} code=7 name=\"a\\r\\\"b\"\n"
            ),
            format!(" INFO {request} plain\n"),
        ];
        assert_eq!(text, expected.concat());
    }
}
