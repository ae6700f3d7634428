//! Writing records in the shapes of the other systems, one kind a file.
//!
//! Invariant: the same records give the same bytes, on every machine.
//!
//! Next: [`avro`] for the one format that is not text.

mod avro;

use std::io::{self, Write};

use crate::read::Format;
use crate::salon::{Customer, Kind, LegacyBooking, Record};

/// Rows of one INSERT.
const ROWS_MAX: usize = 500;

/// Writes records of one kind in one format.
///
/// - JSON: an array, an object a line, as `JSON.stringify` writes them.
/// - CSV: a header, commas, `\n`; fields are quoted where they must be.
/// - SQL: a CREATE TABLE with the columns in the header's order, then INSERTs of 500 rows with the list of columns,
///   a row a line. Texts stand in `'…'` with marks doubled, instants are texts as in the JSON, prices are numbers.
/// - Avro: an object container file, deflated; instants are `timestamp-millis`, prices doubles, the status is an
///   enum.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    kind: Kind,
    format: Format,
    rows: usize,
    line: Vec<u8>,
    avro: Option<avro::Container>,
}

/// The columns of a kind in their order, with their types in SQL.
fn columns(kind: Kind) -> &'static [(&'static str, &'static str)] {
    const INSTANT: &str = "TIMESTAMP NOT NULL";
    match kind {
        Kind::Customer => &[
            ("id", "VARCHAR(36) PRIMARY KEY"),
            ("tenantId", "VARCHAR(64) NOT NULL"),
            ("name", "VARCHAR(255) NOT NULL"),
            ("email", "VARCHAR(255) NOT NULL"),
            ("phone", "VARCHAR(64) NOT NULL"),
            ("createdAt", INSTANT),
            ("updatedAt", INSTANT),
        ],
        Kind::Booking => &[
            ("id", "VARCHAR(36) PRIMARY KEY"),
            ("tenantId", "VARCHAR(64) NOT NULL"),
            ("customerId", "VARCHAR(36) NOT NULL"),
            ("title", "VARCHAR(255) NOT NULL"),
            ("description", "TEXT NOT NULL"),
            ("date", INSTANT),
            ("status", "VARCHAR(16) NOT NULL"),
            ("price", "DECIMAL(10, 2) NOT NULL"),
            ("currency", "CHAR(3) NOT NULL"),
            ("createdAt", INSTANT),
            ("updatedAt", INSTANT),
        ],
    }
}

/// What a column holds.
enum Cell<'a> {
    Text(&'a str),
    Instant(jiff::Timestamp),
    Number(f64),
}

impl<W: Write> Writer<W> {
    /// A writer, whose file's beginning is written. `sync` is what marks the blocks of an Avro file.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W, format: Format, kind: Kind, sync: [u8; 16]) -> io::Result<Self> {
        let names: Vec<&str> = columns(kind).iter().map(|(name, _)| *name).collect();
        let mut avro = None;
        match format {
            Format::Json => out.write_all(b"[")?,
            Format::Csv => writeln!(out, "{}", names.join(","))?,
            Format::Sql => {
                let columns = columns(kind).iter().map(|(name, ty)| format!("  \"{name}\" {ty}"));
                let columns = columns.collect::<Vec<_>>().join(",\n");
                writeln!(out, "CREATE TABLE IF NOT EXISTS {} (\n{columns}\n);", kind.plural())?;
            }
            Format::Avro => {
                let container = avro::Container::new(kind, sync);
                out.write_all(&container.head())?;
                avro = Some(container);
            }
        }
        Ok(Writer { out, kind, format, rows: 0, line: Vec::new(), avro })
    }

    /// Writes a record.
    ///
    /// # Errors
    /// Those of `out`; `InvalidInput` for a record of the other kind.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        if record.kind() != self.kind {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a file holds records of one kind"));
        }
        if let Some(avro) = &mut self.avro {
            return avro.write(record, &mut self.out);
        }
        self.line.clear();
        let (line, first) = (&mut self.line, self.rows == 0);
        match self.format {
            Format::Json => {
                line.extend_from_slice(if first { b"\n" } else { b",\n" });
                for (at, ((name, _), cell)) in columns(self.kind).iter().zip(cells(record)).enumerate() {
                    line.push(if at == 0 { b'{' } else { b',' });
                    json_text(line, name);
                    line.push(b':');
                    json_cell(line, &cell);
                }
                line.push(b'}');
            }
            Format::Csv => {
                for (at, cell) in cells(record).into_iter().enumerate() {
                    if at > 0 {
                        line.push(b',');
                    }
                    csv_cell(line, &cell);
                }
                line.push(b'\n');
            }
            Format::Sql => {
                if self.rows.is_multiple_of(ROWS_MAX) {
                    let names: Vec<_> =
                        columns(self.kind).iter().map(|(name, _)| format!("\"{name}\"")).collect();
                    let end = if first { "" } else { ";\n" };
                    let table = self.kind.plural();
                    write!(line, "{end}\nINSERT INTO {table} ({}) VALUES\n", names.join(", "))?;
                } else {
                    line.extend_from_slice(b",\n");
                }
                for (at, cell) in cells(record).into_iter().enumerate() {
                    line.extend_from_slice(if at == 0 { b"(" } else { b", " });
                    sql_cell(line, &cell);
                }
                line.push(b')');
            }
            Format::Avro => {}
        }
        self.rows += 1;
        self.out.write_all(&self.line)
    }

    /// Writes the end of the file, and gives `out` back.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(mut self) -> io::Result<W> {
        match self.format {
            Format::Json => self.out.write_all(if self.rows == 0 { b"]\n" } else { b"\n]\n" })?,
            Format::Sql if self.rows > 0 => self.out.write_all(b";\n")?,
            Format::Csv | Format::Sql => {}
            Format::Avro => {
                if let Some(avro) = &mut self.avro {
                    avro.end_block(&mut self.out)?;
                }
            }
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// The values of a record in the order of its columns.
fn cells(record: &Record) -> Vec<Cell<'_>> {
    use Cell::{Instant, Number, Text};
    match record {
        Record::Customer(Customer { id, tenant, name, email, phone, created_at, updated_at }) => vec![
            Text(id),
            Text(tenant.as_deref().unwrap_or_default()),
            Text(name),
            Text(email),
            Text(phone),
            Instant(*created_at),
            Instant(*updated_at),
        ],
        Record::Booking(booking) => {
            let LegacyBooking { id, tenant, customer_id, title, description, date, .. } = booking;
            let LegacyBooking { status, price, currency, created_at, updated_at, .. } = booking;
            vec![
                Text(id),
                Text(tenant.as_deref().unwrap_or_default()),
                Text(customer_id),
                Text(title),
                Text(description),
                Instant(*date),
                Text(status.as_str()),
                Number(*price),
                Text(currency),
                Instant(*created_at),
                Instant(*updated_at),
            ]
        }
    }
}

/// As JavaScript writes it: `2024-02-29T09:30:00.000Z`.
fn push_instant(out: &mut Vec<u8>, at: jiff::Timestamp) {
    let _ = write!(out, "{at:.3}"); // writing to a vector cannot fail
}

/// As JavaScript writes it, at least within what prices are: `45.9`.
fn push_number(out: &mut Vec<u8>, number: f64) {
    let _ = write!(out, "{number}"); // writing to a vector cannot fail
}

fn json_text(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text); // neither can fail
}

fn json_cell(out: &mut Vec<u8>, cell: &Cell<'_>) {
    match cell {
        Cell::Text(text) => json_text(out, text),
        Cell::Instant(at) => {
            out.push(b'"');
            push_instant(out, *at);
            out.push(b'"');
        }
        Cell::Number(number) => push_number(out, *number),
    }
}

fn csv_cell(out: &mut Vec<u8>, cell: &Cell<'_>) {
    match cell {
        Cell::Text(text) if text.contains(['"', ',', '\n', '\r']) || text.trim() != *text => {
            out.push(b'"');
            out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        }
        Cell::Text(text) => out.extend_from_slice(text.as_bytes()),
        Cell::Instant(at) => push_instant(out, *at),
        Cell::Number(number) => push_number(out, *number),
    }
}

fn sql_cell(out: &mut Vec<u8>, cell: &Cell<'_>) {
    match cell {
        Cell::Text(text) => {
            out.push(b'\'');
            out.extend_from_slice(text.replace('\'', "''").as_bytes());
            out.push(b'\'');
        }
        Cell::Instant(at) => {
            out.push(b'\'');
            push_instant(out, *at);
            out.push(b'\'');
        }
        Cell::Number(number) => push_number(out, *number),
    }
}
