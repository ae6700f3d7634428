//! The newest state of a server's records as ordinary tables in PostgreSQL, for people with SQL tools.
//!
//! ```text
//!   GET /v1/tenants/{t}/changes?after=… ──▶ page ──▶ one transaction: rows, and the cursor behind them
//! ```
//!
//! Invariants:
//! - The rows and the cursor are committed together, so a change is in the tables once, whatever breaks off when.
//! - A page is only taken behind the cursor that is there: of two that project into one schema the slower one ends.
//! - What is in the tables is a state that the tenant once had: pages follow each other in the order of the log.
//! - Personal data (kinds `customer` and `user`) is left out unless it is asked for.
//!
//! Next: [`rows`] for the statements, `1_tables.sql` and `2_events.sql` beside this file for the tables.

mod rows;

use std::collections::HashMap;
use std::error::Error as _;
use std::io;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

/// What the tables have become, step by step. A step that was released never changes.
const MIGRATIONS: &[&str] = &[include_str!("1_tables.sql"), include_str!("2_events.sql")];
/// The kinds of records that hold personal data.
const PERSONAL_KINDS: [&str; 2] = ["customer", "user"];
/// The longest name of a schema.
const SCHEMA_BYTES_MAX: usize = 63;
/// How long PostgreSQL may take to be connected to.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Why something could not be projected.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The database refuses, or is away.
    #[error("PostgreSQL: {}", told(.0))]
    Database(#[from] tokio_postgres::Error),
    /// The tables are newer than this program.
    #[error("the tables in schema {schema} are of version {found}; this program knows them up to {known}")]
    Newer {
        /// Where.
        schema: String,
        /// What is there.
        found: i32,
        /// What is known here.
        known: usize,
    },
    /// Another one has moved the cursor.
    #[error(
        "another projection writes into this schema too: its cursor of tenant {0} has moved; this one ends"
    )]
    Displaced(String),
    /// The name of a schema.
    #[error(
        "{0:?} is no name for a schema: take 1 to 63 lower-case letters, digits and _, and begin with a letter"
    )]
    Schema(String),
}

/// What PostgreSQL says of an error, with its detail.
fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => match said.detail() {
            Some(detail) => format!("{} ({detail})", said.message()),
            None => said.message().to_owned(),
        },
        None => error.to_string(),
    }
}

impl ProjectionError {
    /// Whether it may go away by itself.
    pub fn is_passing(&self) -> bool {
        match self {
            // Classes 08, 53, 57 and 40 are about the state of the database, not about what was asked of it.
            ProjectionError::Database(error) => match error.code() {
                Some(code) => ["08", "53", "57", "40"].iter().any(|class| code.code().starts_with(class)),
                None => error.is_closed() || error.source().is_some_and(|source| source.is::<io::Error>()),
            },
            _ => false,
        }
    }
}

/// A page of changes, as the server gives it.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// The changes.
    pub items: Vec<Value>,
    /// Where the next page begins.
    pub next_after: String,
}

impl Page {
    /// When its last change was decided.
    fn changed_at(&self) -> Option<&str> {
        self.items.last()?.get("at")?.as_str()
    }

    /// The changes that become rows, in a form that PostgreSQL takes.
    fn into_rows(self, with_personal: bool) -> Value {
        let is_wanted = |change: &Value| {
            with_personal || !change["kind"].as_str().is_some_and(|kind| PERSONAL_KINDS.contains(&kind))
        };
        let mut rows: Vec<Value> = self.items.into_iter().filter(is_wanted).collect();
        rows.iter_mut().for_each(without_nul);
        Value::Array(rows)
    }
}

/// PostgreSQL has no texts with NUL in them; it becomes the replacement character.
fn without_nul(value: &mut Value) {
    let replaced = |text: &str| text.replace('\0', "\u{fffd}");
    match value {
        Value::String(text) if text.contains('\0') => *text = replaced(text),
        Value::Array(values) => values.iter_mut().for_each(without_nul),
        Value::Object(fields) => {
            if fields.keys().any(|name| name.contains('\0')) {
                let renamed = std::mem::take(fields).into_iter();
                *fields = renamed.map(|(name, value)| (replaced(&name), value)).collect();
            }
            fields.values_mut().for_each(without_nul);
        }
        _ => {}
    }
}

/// A connection to the database, and the cursors of the tenants in its tables.
#[derive(Debug)]
pub struct Sink {
    client: Client,
    connection: JoinHandle<()>,
    cursors: HashMap<String, String>,
    with_personal: bool,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Sink {
    /// Connects to a database, and brings the tables in `schema` up to date; with `anew` they are dropped before.
    ///
    /// # Errors
    /// [`ProjectionError`].
    pub async fn open(
        to: &tokio_postgres::Config,
        schema: &str,
        anew: bool,
        with_personal: bool,
    ) -> Result<Self, ProjectionError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let sound = schema.len() <= SCHEMA_BYTES_MAX
            && schema.bytes().all(plain)
            && schema.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if !sound {
            return Err(ProjectionError::Schema(schema.to_owned()));
        }
        let mut to = to.clone();
        to.connect_timeout(CONNECT_MAX).application_name("maitred project");
        let (client, connection) = to.connect(NoTls).await?;
        let connection = tokio::spawn(async move {
            let _ = connection.await; // its errors reach the statements
        });
        let mut sink = Sink { client, connection, cursors: HashMap::new(), with_personal };
        sink.migrate(schema, anew).await?;
        for row in sink.client.query("SELECT tenant, after FROM projection_cursors", &[]).await? {
            sink.cursors.insert(row.get(0), row.get(1));
        }
        Ok(sink)
    }

    async fn migrate(&mut self, schema: &str, anew: bool) -> Result<(), ProjectionError> {
        let transaction = self.client.transaction().await?;
        // Two that begin at once: one waits for the other.
        transaction.execute("SELECT pg_advisory_xact_lock(hashtext($1))", &[&schema]).await?;
        if anew {
            transaction.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await?;
        }
        transaction
            .batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path TO {schema}"))
            .await?;
        transaction.batch_execute("CREATE EXTENSION IF NOT EXISTS btree_gist").await?;
        // Its operators may have been installed elsewhere.
        let installed =
            "SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
                         WHERE extname = 'btree_gist'";
        let operators: String = transaction.query_one(installed, &[]).await?.get(0);
        transaction.batch_execute(&format!("SET search_path TO {schema}, {operators}")).await?;
        transaction
            .batch_execute("CREATE TABLE IF NOT EXISTS projection_versions (version integer PRIMARY KEY)")
            .await?;
        let found = "SELECT coalesce(max(version), 0) FROM projection_versions";
        let found: i32 = transaction.query_one(found, &[]).await?.get(0);
        let done = usize::try_from(found).unwrap_or(usize::MAX);
        let Some(steps) = MIGRATIONS.get(done..) else {
            return Err(ProjectionError::Newer { schema: schema.to_owned(), found, known: MIGRATIONS.len() });
        };
        for (version, step) in (found + 1..).zip(steps) {
            transaction.batch_execute(step).await?;
            transaction.execute("INSERT INTO projection_versions VALUES ($1)", &[&version]).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// What the next request for a tenant's changes names as `after`.
    pub fn cursor(&self, tenant: &str) -> Option<&str> {
        self.cursors.get(tenant).map(String::as_str)
    }

    /// Takes the page behind the cursor. `caught_up`: whether it was all that the server had.
    ///
    /// # Errors
    /// [`ProjectionError`]; nothing of the page is in the tables then.
    pub async fn take(&mut self, tenant: &str, page: Page, caught_up: bool) -> Result<(), ProjectionError> {
        let before = self.cursors.get(tenant).cloned();
        let (after, changed_at) = (page.next_after.clone(), page.changed_at().map(str::to_owned));
        let is_empty = page.items.is_empty();
        let rows = page.into_rows(self.with_personal);
        let transaction = self.client.transaction().await?;
        let moved = transaction
            .execute(
                "INSERT INTO projection_cursors AS kept (tenant, after, changed_at, caught_up_at)
                 SELECT $1, $2, $3::text::timestamptz, CASE WHEN $4 THEN now() END
                 WHERE $5::text IS NULL OR EXISTS (SELECT FROM projection_cursors WHERE tenant = $1)
                 ON CONFLICT (tenant) DO UPDATE SET after = EXCLUDED.after,
                     changed_at = coalesce(EXCLUDED.changed_at, kept.changed_at),
                     caught_up_at = coalesce(EXCLUDED.caught_up_at, kept.caught_up_at)
                 WHERE kept.after = $5",
                &[&tenant, &after, &changed_at, &caught_up, &before],
            )
            .await?;
        if moved == 0 {
            return Err(ProjectionError::Displaced(tenant.to_owned()));
        }
        if !is_empty {
            for statement in rows::STATEMENTS {
                transaction.execute(*statement, &[&tenant, &rows]).await?;
            }
        }
        transaction.commit().await?;
        self.cursors.insert(tenant.to_owned(), after);
        Ok(())
    }
}
