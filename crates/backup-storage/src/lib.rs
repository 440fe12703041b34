//! Stores on local disk and object storage.
