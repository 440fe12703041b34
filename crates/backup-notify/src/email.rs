//! Electronic mail, handed to an SMTP server.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{Alert, Clock, Notifier};
use backup_core::{Error, ErrorKind, Result, Secret};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use reqwest::Url;

use crate::digest;
use crate::endpoint::{Delivery, retry};
use crate::scrub::{cleaned, without};
use crate::text::{cut, cut_bytes, headline};

const SUBJECT: usize = 200;
const BODY_BYTES: usize = 256 << 10;

/// Where mail is handed over, and between whom it goes.
#[derive(Clone, Debug)]
pub struct EmailSettings {
    /// `smtps://user@host:465` (TLS from the start) or `smtp://user@host:587` (STARTTLS, without
    /// which nothing is sent); the password may stand in it. Only to this machine itself, `smtp`
    /// without STARTTLS is allowed, with `?tls=none`.
    pub url: Secret,
    /// The password of the URL's user, where the URL holds none.
    pub password: Option<Secret>,
    /// The sender: `Backup <backup@example.com>`.
    pub from: String,
    /// The receivers; at least one.
    pub to: Vec<String>,
    /// Certificates in PEM to trust besides the system's.
    pub ca: Option<Vec<u8>>,
}

/// Delivers alerts by mail: plain text, one message for all receivers.
///
/// Messages about one problem refer to each other, so that mail programs show them as one
/// thread; a message that is sent twice bears the same `Message-ID`.
pub struct Email {
    name: String,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    clock: Arc<dyn Clock>,
    delivery: Delivery,
    from: Mailbox,
    to: Vec<Mailbox>,
    secrets: Vec<Secret>,
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Email").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Email {
    /// Creates the notifier; fails with `ConfigInvalid` when URL, addresses or certificates
    /// cannot be used. Connects to nothing yet.
    pub fn new(
        clock: Arc<dyn Clock>,
        settings: &EmailSettings,
        delivery: Delivery,
    ) -> Result<Self> {
        let server = Server::parse(settings)?;
        let to = settings.to.iter().map(|to| mailbox(to)).collect::<Result<Vec<Mailbox>>>()?;
        if to.is_empty() {
            return Err(unusable("there is no receiver").hint("Set `to` to at least one address."));
        }
        let tls = server.tls(settings.ca.as_deref())?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
            .port(server.port)
            .tls(tls)
            .timeout(Some(delivery.timeout));
        let mut secrets = vec![settings.url.clone()];
        if let Some((user, password)) = &server.login {
            secrets.push(password.clone());
            builder =
                builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        Ok(Self {
            name: format!("email {}", server.host),
            transport: builder.build(),
            clock,
            delivery,
            from: mailbox(&settings.from)?,
            to,
            secrets,
        })
    }

    fn message(&self, alert: &Alert) -> Result<Message> {
        let alert = cleaned(alert, |text| without(text, &self.secrets));
        let domain = self.from.email.domain().to_owned();
        let subject = cut(&one_line(&format!("[backup] {}", headline(&alert))), SUBJECT);
        let text = text(&alert);
        let id = digest(format!("{subject}\n{text}").as_bytes());
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(subject)
            .date(self.clock.now().into())
            .message_id(Some(format!("<{id}@{domain}>")))
            .header(ContentType::TEXT_PLAIN)
            // Nobody's holiday shall answer.
            .raw_header(raw("Auto-Submitted", "auto-generated"))
            .raw_header(raw("X-Backup-Event", &alert.event))
            .raw_header(raw("X-Backup-Severity", alert.severity.as_str()));
        if let Some(problem) = &alert.problem {
            let thread = format!("<{}@{domain}>", digest(problem.as_bytes()));
            builder = builder.references(thread.clone()).in_reply_to(thread);
        }
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        builder.body(text).map_err(|error| self.error().because(error))
    }

    fn error(&self) -> Error {
        Error::new(ErrorKind::Failed, "deliver alert").with("destination", &self.name)
    }

    fn refused(&self, error: &lettre::transport::smtp::Error) -> Error {
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(deeper) = cause {
            reason.push_str(&format!(": {deeper}"));
            cause = deeper.source();
        }
        let refusal = self.error().because(without(&one_line(&reason), &self.secrets));
        if error.is_permanent() {
            return refusal
                .hint("Check user, password, sender and receivers with the mail server.");
        }
        if error.is_client() || error.is_tls() {
            return refusal.hint(
                "Check port and scheme: smtps:// is TLS from the start (465), smtp:// is \
                 STARTTLS (587); `ca_file` names a certificate authority of your own.",
            );
        }
        refusal.temporary().hint("Check the network and that the mail server is up.")
    }
}

#[async_trait]
impl Notifier for Email {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn deliver(&self, alert: &Alert) -> Result<()> {
        let message = self.message(alert)?;
        retry(&self.name, &self.clock, self.delivery, || {
            let message = message.clone();
            async {
                let sent = self.transport.send(message).await;
                sent.map(|_| ()).map_err(|error| self.refused(&error).into())
            }
        })
        .await
    }
}

/// What the URL says.
struct Server {
    host: String,
    port: u16,
    encryption: Encryption,
    login: Option<(String, Secret)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encryption {
    FromTheStart,
    Starttls,
    None,
}

impl Server {
    fn parse(settings: &EmailSettings) -> Result<Self> {
        let url: Url = settings
            .url
            .expose()
            .trim()
            .parse()
            .map_err(|_| unusable("the URL is not a URL").hint(URL_HINT))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(unusable("the URL names no host").hint(URL_HINT));
        }
        let plain = url.query_pairs().any(|(name, value)| name == "tls" && value == "none");
        let local = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let (encryption, port) = match (url.scheme(), plain) {
            ("smtps", false) => (Encryption::FromTheStart, 465),
            ("smtp", false) => (Encryption::Starttls, 587),
            ("smtp", true) if local => (Encryption::None, 25),
            ("smtp", true) => {
                return Err(unusable("mail would travel unencrypted").hint(URL_HINT));
            }
            _ => return Err(unusable("the scheme is not smtp or smtps").hint(URL_HINT)),
        };
        Ok(Self {
            host,
            port: url.port().unwrap_or(port),
            encryption,
            login: login(&url, settings)?,
        })
    }

    fn tls(&self, ca: Option<&[u8]>) -> Result<Tls> {
        if self.encryption == Encryption::None {
            return Ok(Tls::None);
        }
        let mut builder = TlsParameters::builder(self.host.clone());
        if let Some(pem) = ca {
            let certificate = Certificate::from_pem(pem).map_err(|error| {
                unusable("the certificate authority cannot be read").because(error.to_string())
            })?;
            builder = builder.add_root_certificate(certificate);
        }
        let tls = builder
            .build_rustls()
            .map_err(|error| unusable("TLS cannot be prepared").because(error.to_string()))?;
        Ok(match self.encryption {
            Encryption::FromTheStart => Tls::Wrapper(tls),
            _ => Tls::Required(tls),
        })
    }
}

const URL_HINT: &str = "Write smtps://user@host:465 (TLS) or smtp://user@host:587 (STARTTLS); \
                        smtp://localhost:25?tls=none only on this machine.";

fn login(url: &Url, settings: &EmailSettings) -> Result<Option<(String, Secret)>> {
    if url.username().is_empty() {
        return Ok(None);
    }
    let decode = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
        decoded.map(Cow::into_owned).map_err(|_| unusable("the user is not UTF-8"))
    };
    let password = match (url.password(), &settings.password) {
        (Some(password), _) => Secret::new(decode(password)?),
        (None, Some(password)) => password.clone(),
        (None, None) => {
            return Err(unusable("the user has no password")
                .hint("Give the password as `secret`, or leave the user out."));
        }
    };
    Ok(Some((decode(url.username())?, password)))
}

fn mailbox(text: &str) -> Result<Mailbox> {
    text.trim().parse().map_err(|_| {
        Error::new(ErrorKind::ConfigInvalid, "use mail address")
            .with("address", text.escape_debug())
            .hint("Write user@example.com or Name <user@example.com>.")
    })
}

fn unusable(reason: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, "use mail server").because(reason)
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), one_line(value))
}

/// A header ends at the first newline.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn text(alert: &Alert) -> String {
    let mut text = format!("{}\n", headline(alert));
    if !alert.body.trim().is_empty() {
        text.push_str(&format!("\n{}\n", cut_bytes(alert.body.trim(), BODY_BYTES)));
    }
    text.push_str(&format!("\nevent: {}\n", alert.event));
    if let Some(source) = &alert.source {
        text.push_str(&format!("source: {source}\n"));
    }
    text.push_str(&format!("at: {}\n", alert.at));
    for (name, value) in &alert.facts {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text
}
