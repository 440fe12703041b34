//! The composition root: embed this.
