//! The supervisor on ports in memory, in simulated time.

mod requests;
mod week;
mod world;
