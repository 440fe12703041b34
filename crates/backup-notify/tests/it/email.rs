//! Mail to a real server: TLS, login, and what arrives.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{QuickClock, alert, assert_clean, solved, soon};
use backup_core::port::{Alert, Notifier as _, Phase};
use backup_core::{ErrorKind, ErrorStatus, Secret};
use backup_notify::{Delivery, Email, EmailSettings};
use backup_testkit::smtp::{Protection, Server};

const LOGIN: (&str, &str) = ("backup@example.com", "hunter2 ü/@");

/// A certificate for `localhost` that is its own authority, and its key.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn start(protection: Protection) -> Option<(Server, EmailSettings)> {
    let (certificate, key) = certificate();
    let login = if protection == Protection::None { ("", "") } else { LOGIN };
    let server = Server::start(protection, login, (&certificate, &key))?;
    let (scheme, user, query) = match protection {
        Protection::None => ("smtp", "", "?tls=none"),
        Protection::Starttls => ("smtp", "backup%40example.com@", ""),
        Protection::Tls => ("smtps", "backup%40example.com@", ""),
    };
    let settings = EmailSettings {
        url: Secret::new(format!("{scheme}://{user}localhost:{}{query}", server.port())),
        password: Some(Secret::new(LOGIN.1)),
        from: "Backup <backup@example.com>".into(),
        to: vec!["ops@example.org".into(), "Ünal <oncall@example.org>".into()],
        ca: Some(certificate.into_bytes()),
    };
    Some((server, settings))
}

fn email(settings: &EmailSettings, clock: &Arc<QuickClock>) -> backup_core::Result<Email> {
    // A loaded machine shakes hands slowly.
    let delivery = Delivery { timeout: Duration::from_secs(20), ..Delivery::default() };
    Email::new(Arc::clone(clock) as _, settings, delivery)
}

#[tokio::test]
async fn mail_goes_over_tls_with_a_login_and_arrives_whole() {
    for protection in [Protection::Starttls, Protection::Tls] {
        let Some((server, settings)) = start(protection) else { return };
        let email = email(&settings, &Arc::default()).unwrap();
        soon(email.deliver(&alert())).await.unwrap();
        let [mail] = server.mails(1).try_into().unwrap();
        assert!(mail.encrypted && mail.authenticated, "{protection:?}: {mail:?}");
        assert_eq!(mail.from, "backup@example.com");
        assert_eq!(mail.to, ["ops@example.org", "oncall@example.org"]);
        assert_clean(&format!("{} {email:?}", mail.data));
        if protection == Protection::Tls {
            insta::assert_snapshot!(mail.data);
        }
    }
}

#[tokio::test]
async fn mails_of_one_problem_are_a_thread_and_hostile_texts_stay_in_their_place() {
    let Some((server, settings)) = start(Protection::None) else { return };
    let email = email(&settings, &Arc::default()).unwrap();
    let hostile = Alert {
        title: "größer\r\nBcc: everyone@example.org".into(),
        body: "line\n.\nQUIT\n..dots and ünïcode".into(),
        ..alert()
    };
    for alert in
        [&hostile, &hostile, &solved(), &Alert { phase: Phase::News, problem: None, ..solved() }]
    {
        soon(email.deliver(alert)).await.unwrap();
    }
    let mails = server.mails(4);
    let header = |at: usize, name: &str| {
        let head = mails[at].data.split("\n\n").next().unwrap();
        let line = head.lines().find(|line| line.starts_with(&format!("{name}: ")));
        line.map(str::to_owned)
    };
    assert_eq!(header(0, "Message-ID"), header(1, "Message-ID"), "the same mail, twice");
    assert_ne!(header(0, "Message-ID"), header(2, "Message-ID"));
    assert!(header(0, "References").is_some());
    assert_eq!(header(0, "References"), header(2, "References"));
    assert_eq!(header(3, "References"), None);
    assert_eq!(header(0, "Bcc"), None);
    assert_eq!(mails[0].to.len(), 2);
    assert!(!mails[0].encrypted);
}

#[tokio::test]
async fn what_the_server_refuses_for_now_is_tried_again_and_for_good_is_not() {
    let Some((server, mut settings)) = start(Protection::None) else { return };
    settings.to = vec!["later@example.org".into()];
    let clock = Arc::new(QuickClock::default());
    soon(email(&settings, &clock).unwrap().deliver(&alert())).await.unwrap();
    assert_eq!(clock.waited(), [Duration::from_secs(1), Duration::from_secs(2)]);
    assert_eq!(server.mails(1).len(), 1);

    settings.to = vec!["nobody@example.org".into()];
    let error = soon(email(&settings, &clock).unwrap().deliver(&alert())).await.unwrap_err();
    assert_eq!(error.status(), ErrorStatus::Permanent);
    assert!(error.to_string().contains("no such mailbox"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_and_a_stranger_in_the_middle_are_refused() {
    let Some((_server, mut settings)) = start(Protection::Starttls) else { return };
    settings.password = Some(Secret::new("hunter3"));
    let wrong = email(&settings, &Arc::default()).unwrap();
    let error = soon(wrong.deliver(&alert())).await.unwrap_err();
    assert_eq!(error.status(), ErrorStatus::Permanent);
    assert_clean(&format!("{error:?}"));

    settings.ca = Some(certificate().0.into_bytes());
    let stranger = email(&settings, &Arc::default()).unwrap();
    let error = soon(stranger.deliver(&alert())).await.unwrap_err();
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_gets_nothing_unless_it_is_this_machine_and_that_was_asked_for() {
    let Some((server, mut settings)) = start(Protection::None) else { return };
    settings.url = Secret::new(format!("smtp://localhost:{}", server.port()));
    let strict = email(&settings, &Arc::default()).unwrap();
    soon(strict.deliver(&alert())).await.unwrap_err();
    assert_eq!(server.mails(0), []);
    for (url, to, from) in [
        ("smtp://mail.example.com?tls=none", "a@b.c", "a@b.c"),
        ("https://mail.example.com", "a@b.c", "a@b.c"),
        ("smtp://u@mail.example.com", "a@b.c", "a@b.c"),
        ("smtps://mail.example.com", "nobody", "a@b.c"),
        ("smtps://mail.example.com", "", "a@b.c"),
        ("smtps://mail.example.com", "a@b.c", "a@b.c\nBcc: x@y.z"),
        ("mail.example.com", "a@b.c", "a@b.c"),
    ] {
        let to = if to.is_empty() { Vec::new() } else { vec![to.to_owned()] };
        let (url, from) = (Secret::new(url), from.to_owned());
        let settings = EmailSettings { url, password: None, from, to, ca: None };
        let error = email(&settings, &Arc::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
    }
}
