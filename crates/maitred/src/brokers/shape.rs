//! What messages say: their shapes, and the commands that they are.

use maitred_booking::Command;
use maitred_booking::appointments::http::batch;
use maitred_booking::tenants::Tenant;

use crate::config::Commands;
use crate::drop_in::sesami;

/// The longest message, in bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Why a message is no command, whatever the server knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Stable.
    pub(super) code: String,
    /// For people.
    pub(super) reason: String,
}

/// The command of a message to this tenant.
pub(super) fn read(commands: Commands, tenant: &Tenant, body: &[u8]) -> Result<Command, Unreadable> {
    let unreadable =
        |code: &str, reason: &str| Unreadable { code: code.to_owned(), reason: reason.to_owned() };
    if body.len() > MESSAGE_BYTES_MAX {
        let reason = format!("a message has at most {MESSAGE_BYTES_MAX} bytes; this one has {}", body.len());
        return Err(unreadable("message-too-large", &reason));
    }
    match commands {
        Commands::Appointments => {
            let problem = |problem: maitred_web::Problem| unreadable(problem.code(), problem.detail());
            Ok(batch::read_item(body).map_err(problem)?.into())
        }
        Commands::Sesami => {
            let (org, command) =
                sesami::read_message(body).map_err(|(code, reason)| unreadable(&code, &reason))?;
            let profile = &tenant.profile;
            let is_meant = org == sesami::ORG_DEFAULT
                || org == profile.slug
                || Some(org.as_str()) == profile.alias.as_deref();
            match is_meant {
                true => Ok(command.into()),
                false => Err(unreadable("other-organisation", "orgId names another organisation")),
            }
        }
    }
}
