//! How many files this process may have open: each connection takes one.
//!
//! Many systems allow a process a thousand at first (the soft limit), and as many as it asks for up to a hard limit,
//! because of programs that wait with `select(2)`, which can name no more. This one does not.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Has the system allow as many open files as are needed, or as many as it can be brought to allow: how many.
///
/// # Errors
/// The system does not take a limit that it says it takes.
pub fn allow(needed: u64) -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    // No limit is one that is never reached.
    let allowed = limit.current.unwrap_or(u64::MAX);
    let wanted = needed.min(limit.maximum.unwrap_or(u64::MAX));
    if wanted <= allowed {
        return Ok(allowed);
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_to_what_is_needed_and_never_lowered_or_raised_too_far() {
        let before = getrlimit(Resource::Nofile);
        let allowed = before.current.unwrap_or(u64::MAX);
        let hard = before.maximum.unwrap_or(u64::MAX);
        assert_eq!(allow(1).unwrap(), allowed);
        let raised = allow(allowed.saturating_add(1).min(hard)).unwrap();
        assert_eq!(raised, allowed.saturating_add(1).min(hard).max(allowed));
        assert_eq!(allow(u64::MAX).unwrap(), hard.max(allowed));
        assert_eq!(getrlimit(Resource::Nofile).maximum, before.maximum);
    }
}
