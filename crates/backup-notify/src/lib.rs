//! Delivers alerts to webhooks and chat.
