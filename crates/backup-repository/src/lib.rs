//! Turns streams into sealed packs and signed manifests, and back.
