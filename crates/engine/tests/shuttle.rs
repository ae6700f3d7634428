//! The engine on a checker's schedules.
