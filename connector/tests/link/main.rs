//! The connector against a kernel's double that speaks real frames over real TLS.

#[cfg(test)]
mod evidence;
#[cfg(test)]
mod local;
#[cfg(test)]
mod log;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod renewal;
#[cfg(test)]
mod session;
#[cfg(test)]
mod trust;
#[cfg(test)]
mod world;
