//! The connector against a kernel's double that speaks real frames over real TLS.

#[cfg(test)]
mod local;
#[cfg(test)]
mod session;
#[cfg(test)]
mod world;
