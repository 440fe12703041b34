//! `azure://container/prefix?account=…`.

use backup_core::Result;
use url::Url;

use super::{bucket_and_prefix, parse_endpoint, place, unknown};

/// The parts of an `azure:` URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AzureUrl {
    /// The container.
    pub container: String,
    /// The prefix of all names, without slashes at its ends; may be empty.
    pub prefix: String,
    /// `account`: the storage account; from the environment without one.
    pub account: Option<String>,
    /// `endpoint`: where the service is, the account's public one without it.
    pub endpoint: Option<String>,
}

impl AzureUrl {
    pub(super) fn location(&self) -> String {
        let account = self.account.as_deref().filter(|_| self.endpoint.is_none());
        let at = self.endpoint.as_deref().or(account);
        place("azure", &self.container, &self.prefix, at)
    }
}

pub(super) fn parse(url: &Url) -> Result<AzureUrl> {
    let (container, prefix) = bucket_and_prefix(
        url,
        "Write azure://container/prefix?account=NAME; another host goes into \
         ?endpoint=https://host:port.",
    )?;
    let mut azure = AzureUrl { container, prefix, ..AzureUrl::default() };
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "account" => azure.account = Some(value.into_owned()),
            "endpoint" => azure.endpoint = Some(parse_endpoint(&value)?),
            _ => return Err(unknown(&name, "An azure: URL takes account and endpoint.")),
        }
    }
    Ok(azure)
}
