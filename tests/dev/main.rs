//! `provost dev` from outside: the check holds, each sabotage is found at its step, and every page
//! of the pilot stands with its verdict in the journal.

mod check;
mod pilot;
