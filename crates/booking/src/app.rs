//! What the handlers of every domain share: the engine, and the small print of asking it.
//!
//! Next: [`crate::admission`] for who may do what.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use maitred_core::{Actor, Position, Rejection, Seq, TenantNumber};
use maitred_engine::{Answer, Engine, Envelope, Unavailable, View, batch::Idempotency, queue::Pending};
use maitred_web::etag::Versions;
use maitred_web::page::Cursors;
use maitred_web::rate::{Limiter, Quotas};
use maitred_web::{AsOf, AtLeast, Attempt, ETag, Preconditions, Problem, problem};

use crate::accounts::Accounts;
use crate::admission::Directory;
use crate::brokers::Brokers;
use crate::catalogue::status::SyncStatus;
use crate::feed::Feeds;
use crate::flash_sales::hints::Hints;
use crate::flash_sales::live::Streams;
use crate::flash_sales::statistics::Statistics;
use crate::jobs::JobFiles;
use crate::mail::courier::Mailing;
use crate::readiness::Readiness;
use crate::sealing::Sealer;
use crate::soundness::Soundness;
use crate::tenants::{self, CreateTenant, DropIns};
use crate::webhooks::Webhooks;
use crate::{Booking, Command, Outcome};

pub use crate::admission::{
    Scope, authorize, authorize_or_make, authorize_or_token, count, tenant_not_found,
};

/// How long a read waits for the position it asks for.
pub const POSITION_WAIT_MAX: Duration = Duration::from_secs(2);

/// What a command counts as in the queue, beside the body that it was read from.
const COMMAND_BYTES: usize = 512;

/// The state of every handler. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Engine<Booking>,
    cursors: Cursors,
    access: Access,
    default_tenant: String,
    accounts: Accounts,
    sealer: Sealer,
    directory: Directory,
    feeds: Feeds,
    sale_streams: Streams,
    sale_statistics: Statistics,
    purchase_hints: Hints,
    readiness: Readiness,
    soundness: Soundness,
    rates: OnceLock<Limiter>,
    job_files: JobFiles,
    webhooks: Webhooks,
    syncing: SyncStatus,
    brokers: Brokers,
    mailing: Mailing,
}

/// Whether callers must say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody on this machine may do everything.
    Open,
    /// API keys and tokens decide.
    Keys,
}

impl App {
    /// The state of a server over `engine`. Cursors are sealed with `cursor_key`; others' secrets are kept by
    /// `sealer`; `soundness` is what the scrub of its log finds.
    pub fn new(
        engine: Engine<Booking>,
        cursor_key: &[u8; 32],
        (accounts, sealer): (Accounts, Sealer),
        access: Access,
        default_tenant: impl Into<String>,
        soundness: Soundness,
    ) -> Self {
        let (cursors, default_tenant) = (Cursors::new(cursor_key), default_tenant.into());
        App(Arc::new(Inner {
            engine,
            cursors,
            access,
            default_tenant,
            accounts,
            sealer,
            directory: Directory::default(),
            feeds: Feeds::default(),
            sale_streams: Streams::default(),
            sale_statistics: Statistics::default(),
            purchase_hints: Hints::default(),
            readiness: Readiness::default(),
            soundness,
            rates: OnceLock::new(),
            job_files: JobFiles::default(),
            webhooks: Webhooks::default(),
            syncing: SyncStatus::default(),
            brokers: Brokers::default(),
            mailing: Mailing::default(),
        }))
    }

    /// The engine.
    pub fn engine(&self) -> &Engine<Booking> {
        &self.0.engine
    }

    /// Seals and opens the cursors of lists.
    pub fn cursors(&self) -> &Cursors {
        &self.0.cursors
    }

    /// Whether callers must say who they are.
    pub fn access(&self) -> Access {
        self.0.access
    }

    /// The tenant of a drop-in request that names none.
    pub fn default_tenant(&self) -> &str {
        &self.0.default_tenant
    }

    /// Where the server is in its life: the program advances it.
    pub fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    /// What the scrub of the log has found.
    pub fn soundness(&self) -> &Soundness {
        &self.0.soundness
    }

    /// The files that jobs have made.
    pub fn job_files(&self) -> &JobFiles {
        &self.0.job_files
    }

    /// The change feeds that are listened to.
    pub fn feeds(&self) -> &Feeds {
        &self.0.feeds
    }

    /// Which purchases are looked at before they are queued.
    pub(crate) fn purchase_hints(&self) -> &Hints {
        &self.0.purchase_hints
    }

    /// How the syncing of providers goes.
    pub fn syncing(&self) -> &SyncStatus {
        &self.0.syncing
    }

    /// What webhooks need besides the view.
    pub fn webhooks(&self) -> &Webhooks {
        &self.0.webhooks
    }

    /// The connections to message brokers.
    pub fn brokers(&self) -> &Brokers {
        &self.0.brokers
    }

    /// What mail needs besides the view.
    pub fn mailing(&self) -> &Mailing {
        &self.0.mailing
    }

    /// What accounts need besides the view.
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// Seals what is kept of others' secrets.
    pub fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    /// The sales that are listened to.
    pub fn sale_streams(&self) -> &Streams {
        &self.0.sale_streams
    }

    /// How purchases were admitted.
    pub(crate) fn sale_statistics(&self) -> &Statistics {
        &self.0.sale_statistics
    }

    /// Limits how often callers may ask, from now on. The first call counts.
    pub fn limit_rates(&self, quotas: Quotas) {
        self.0.rates.get_or_init(|| Limiter::new(quotas));
    }

    /// The limits of how often callers may ask, where there are any.
    pub fn rates(&self) -> Option<&Limiter> {
        self.0.rates.get()
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    /// Creates the default tenant of an open server, where its name is a slug and leads nowhere yet.
    ///
    /// # Errors
    /// The problem that kept it from being created. That the slug belonged to a closed tenant is none.
    pub async fn ensure_default_tenant(&self) -> Result<(), Problem> {
        let name = self.default_tenant();
        if self.access() != Access::Open
            || !tenants::is_slug(name)
            || tenants::tenant_by_alias_or_slug(&self.0.engine.view(), name).is_some()
        {
            return Ok(());
        }
        let create = tenants::Command::CreateTenant(CreateTenant {
            slug: name.to_owned(),
            alias: None,
            name: name.to_owned(),
            time_zone: "UTC".to_owned(),
            currency: "EUR".to_owned(),
            locale: "en".to_owned(),
            drop_ins: DropIns::NONE,
            public: false,
            automatic: false,
        });
        match self.decide((TenantNumber::SYSTEM, Actor::System), None, 256, create).await?.result {
            Ok(_) => Ok(()),
            Err(taken) if taken.code == "slug-taken" => Ok(()),
            Err(rejection) => Err(rejection.into()),
        }
    }

    /// Decides a command of `tenant`. `bytes` is its size in memory, roughly.
    ///
    /// # Errors
    /// The rejection or the unavailability, as a problem.
    pub async fn submit(
        &self,
        (tenant, actor): (TenantNumber, Actor),
        idempotency: Option<Idempotency>,
        bytes: usize,
        command: impl Into<Command>,
    ) -> Result<Accepted<Outcome>, Problem> {
        let answer = self.decide((tenant, actor), idempotency, bytes, command).await?;
        let Answer { result, position, replayed, .. } = answer;
        match result {
            Ok(outcome) => Ok(Accepted { outcome, position, replayed }),
            Err(rejection) => Err(refusal(rejection, position, replayed)),
        }
    }

    /// The same, with the rejection as the rules gave it.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn decide(
        &self,
        (tenant, actor): (TenantNumber, Actor),
        idempotency: Option<Idempotency>,
        bytes: usize,
        command: impl Into<Command>,
    ) -> Result<Answer<Outcome>, Unavailable> {
        self.0.engine.submit(Envelope { tenant, actor, idempotency, bytes, command: command.into() }).await
    }

    /// Enters a command into its tenant's line, and leaves the waiting to the caller: commands that are entered
    /// one after another are decided in that order.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn enter(
        &self,
        (tenant, actor): (TenantNumber, Actor),
        idempotency: Option<Idempotency>,
        bytes: usize,
        command: impl Into<Command>,
    ) -> Result<Pending<Booking>, Unavailable> {
        self.0.engine.enter(Envelope { tenant, actor, idempotency, bytes, command: command.into() })
    }

    /// A view that includes the position that the client asks for.
    ///
    /// # Errors
    /// 400 for a position that was never given out here, 503 `replica-behind` for one that is not there yet.
    pub async fn view(&self, at_least: AtLeast) -> Result<View, Problem> {
        if let Some(position) = at_least.0 {
            self.require_partition(position)?;
            if let Err(behind) = self.0.engine.wait_for(position.seq, POSITION_WAIT_MAX).await {
                self.require_given(position)?;
                return Err(behind.into());
            }
        }
        Ok(self.0.engine.view())
    }

    /// The batch that `as_of` means.
    ///
    /// # Errors
    /// 400 for a position that was never given out here, 503 `replica-behind` for one that is not in the view yet.
    pub fn as_of(&self, view: &View, as_of: Option<AsOf>) -> Result<Option<Seq>, Problem> {
        match as_of {
            None => Ok(None),
            Some(AsOf::Instant(instant)) => Ok(Some(view.seq_at(instant))),
            Some(AsOf::Position(position)) => {
                self.require_given(position)?;
                if position.seq > view.seq() {
                    return Err(Unavailable::ReplicaBehind.into());
                }
                Ok(Some(position.seq))
            }
        }
    }

    /// Refuses what no answer can have named. This node decides every batch of its log, and a batch is published
    /// before any answer names it.
    fn require_given(&self, position: Position) -> Result<(), Problem> {
        self.require_partition(position)?;
        let newest = self.0.engine.position();
        if position.seq <= newest.seq {
            return Ok(());
        }
        let detail = format!("The position {position} was never given out here: the newest is {newest}.");
        Err(Problem::new(problem::POSITION_INVALID, detail))
    }

    fn require_partition(&self, position: Position) -> Result<(), Problem> {
        if position.partition == self.0.engine.partition() {
            return Ok(());
        }
        let detail = format!("There is no partition {} here.", position.partition);
        Err(Problem::new(problem::POSITION_INVALID, detail))
    }
}

/// An accepted command.
#[derive(Debug, Clone)]
pub struct Accepted<O> {
    /// What the client is told.
    pub outcome: O,
    /// The point in the log that includes it.
    pub position: Position,
    /// Whether this is the remembered answer of an earlier command.
    pub replayed: bool,
}

/// A command of one of the domains.
pub trait OfDomain: Into<Command> {
    /// What its client is told.
    type Outcome;

    /// That, out of what clients of the whole product are told.
    fn outcome(of_product: Outcome) -> Self::Outcome;
}

/// Decides a command of a caller: what most handlers do. `body` is what it was read from.
///
/// # Errors
/// The rejection or the unavailability, as a problem.
pub(crate) async fn submit<C: OfDomain>(
    app: &App,
    scope: &Scope,
    attempt: &Attempt,
    body: &[u8],
    command: C,
) -> Result<Accepted<C::Outcome>, Problem> {
    let key = attempt.identify(scope.caller.actor, body);
    let bytes = COMMAND_BYTES + body.len();
    let Accepted { outcome, position, replayed } = app.submit(scope.who(), key, bytes, command).await?;
    Ok(Accepted { outcome: C::outcome(outcome), position, replayed })
}

/// A rejection with the point in the log that it rested on.
pub fn refusal(rejection: Rejection, position: Position, replayed: bool) -> Problem {
    let problem = Problem::from(rejection)
        .with_header(maitred_web::position::MAITRED_POSITION, maitred_web::position::header_value(position));
    if !replayed {
        return problem;
    }
    let replayed = maitred_web::idempotency::IDEMPOTENT_REPLAYED;
    problem.with_header(replayed, axum::http::HeaderValue::from_static("true"))
}

/// The version at which alone a command may be carried out, for its `if_version`. `current` looks up the version
/// that is there now; it is asked only where `If-Match` does not say everything.
///
/// The writer compares the version, and it does so after it has looked for a remembered answer: a request that is
/// repeated under its idempotency key is answered again although its `If-Match` holds no more.
///
/// # Errors
/// 412 `precondition-failed` where no version could ever satisfy `If-Match`, or `*` meets nothing, or what is there meets
/// `If-None-Match`. A record never goes away, so that "it exists" can be seen here.
pub fn version_wanted(
    preconditions: &Preconditions,
    current: impl Fn() -> Option<u64>,
) -> Result<Option<u64>, Problem> {
    let is_there = || current().map(ETag::version);
    if preconditions.if_none_match.as_ref().is_some_and(|none| !none.holds(is_there().as_ref())) {
        return Err(Problem::precondition_failed());
    }
    let Some(if_match) = &preconditions.if_match else { return Ok(None) };
    let versions = match if_match.versions() {
        Versions::Any if current().is_some() => return Ok(None),
        Versions::Any => return Err(Problem::precondition_failed()),
        Versions::OneOf(versions) => versions,
    };
    match versions.as_slice() {
        [] => Err(Problem::precondition_failed()),
        [version] => Ok(Some(*version)),
        [first, ..] => Ok(Some(current().filter(|current| versions.contains(current)).unwrap_or(*first))),
    }
}
