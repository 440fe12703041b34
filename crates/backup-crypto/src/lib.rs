//! Seals and opens objects; wraps and unwraps keys.
