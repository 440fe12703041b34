//! Memory store, fake clock, breaking wrappers, conformance suites, real servers.
