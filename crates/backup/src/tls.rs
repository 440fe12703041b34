//! TLS for the whole process.

/// Makes ring the process's default TLS provider, which HTTP clients ask for. Programs call it
/// once at the start; calling it again, or after somebody else chose one, changes nothing.
pub fn install_tls() {
    // An error means that a provider is installed already: that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
