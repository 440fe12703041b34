//! Logging in: SCRAM-SHA-256 (with channel binding over TLS), MD5, and passwords in the clear.

use std::io;

use backup_core::Result;
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use super::link::Link;
use super::startup::{next, violation};
use super::transport::Transport;
use super::{certificate, fault};
use crate::connect::{ChannelBinding, ConnectOptions};

/// Answers the server's demands until it says that we are in.
pub(crate) async fn log_in(link: &mut Link, options: &ConnectOptions) -> Result<()> {
    let mut bound = false;
    loop {
        match next(link, options).await? {
            Message::AuthenticationOk if unbound(options, bound) => {
                return Err(fault::unusable(
                    options,
                    "channel_binding is require, and the server let us in without it",
                    "Use SCRAM over TLS at the server, or remove channel_binding=require.",
                ));
            }
            Message::AuthenticationOk => return Ok(()),
            Message::AuthenticationCleartextPassword => {
                if unbound(options, bound) {
                    return Err(weak(options, "a password in the clear"));
                }
                if !link.transport.is_private() && !options.is_local() {
                    return Err(fault::unusable(
                        options,
                        "the server asks for the password in the clear, without TLS",
                        "Use sslmode=require or stronger, or SCRAM at the server.",
                    ));
                }
                let password = password(options)?;
                send(link, options, |m| frontend::password_message(password, m)).await?;
            }
            Message::AuthenticationMd5Password(body) => {
                if unbound(options, bound) {
                    return Err(weak(options, "MD5"));
                }
                let hash = md5_hash(options.user().as_bytes(), password(options)?, body.salt());
                send(link, options, |m| frontend::password_message(hash.as_bytes(), m)).await?;
            }
            Message::AuthenticationSasl(body) => bound = scram(link, options, &body).await?,
            Message::AuthenticationGss
            | Message::AuthenticationSspi
            | Message::AuthenticationKerberosV5
            | Message::AuthenticationScmCredential => {
                return Err(fault::unusable(
                    options,
                    "the server asks for a login method that is not supported (GSSAPI, SSPI)",
                    "Give this role a password and a scram-sha-256 line in pg_hba.conf.",
                ));
            }
            // Old servers and poolers may warn before the login is through.
            Message::NoticeResponse(_) => {}
            _ => return Err(violation(options, "an unexpected message during the login")),
        }
    }
}

fn unbound(options: &ConnectOptions, bound: bool) -> bool {
    options.channel_binding == ChannelBinding::Require && !bound
}

/// Proves the password to the server and the server's knowledge of it to us; returns whether the
/// proof was tied to the TLS session.
async fn scram(
    link: &mut Link,
    options: &ConnectOptions,
    body: &AuthenticationSaslBody,
) -> Result<bool> {
    let (mut plain, mut plus) = (false, false);
    let mut mechanisms = body.mechanisms();
    while let Some(name) = mechanisms.next().map_err(|error| violation(options, error))? {
        plain |= name == SCRAM_SHA_256;
        plus |= name == SCRAM_SHA_256_PLUS;
    }
    let end_point = match (&link.transport, options.channel_binding) {
        (_, ChannelBinding::Disable) => None,
        (transport, _) => server_certificate(transport).and_then(certificate::end_point),
    };
    let (mechanism, binding, bound) = match end_point {
        Some(hash) if plus => {
            (SCRAM_SHA_256_PLUS, sasl::ChannelBinding::tls_server_end_point(hash), true)
        }
        // "I could, you did not offer it": a server that did offer it notices who cut it out.
        Some(_) if plain => (SCRAM_SHA_256, sasl::ChannelBinding::unrequested(), false),
        None if plain => (SCRAM_SHA_256, sasl::ChannelBinding::unsupported(), false),
        _ => {
            return Err(fault::unusable(
                options,
                "the server offers no login mechanism that is known here",
                "Use scram-sha-256 in the server's pg_hba.conf.",
            ));
        }
    };
    if unbound(options, bound) {
        return Err(weak(options, "SCRAM without channel binding"));
    }
    let mut exchange = ScramSha256::new(password(options)?, binding);
    send(link, options, |m| frontend::sasl_initial_response(mechanism, exchange.message(), m))
        .await?;
    let Message::AuthenticationSaslContinue(body) = next(link, options).await? else {
        return Err(violation(options, "SCRAM did not go on"));
    };
    exchange.update(body.data()).map_err(|error| violation(options, error))?;
    send(link, options, |m| frontend::sasl_response(exchange.message(), m)).await?;
    let Message::AuthenticationSaslFinal(body) = next(link, options).await? else {
        return Err(violation(options, "SCRAM ended before the server proved itself"));
    };
    exchange.finish(body.data()).map_err(|error| {
        fault::unusable(
            options,
            error,
            "The server does not know this password's verifier: something between may be an \
             impostor.",
        )
    })?;
    Ok(bound)
}

fn server_certificate(transport: &Transport) -> Option<&[u8]> {
    let Transport::Tls(stream) = transport else { return None };
    let (_, session) = stream.get_ref();
    session.peer_certificates()?.first().map(AsRef::as_ref)
}

fn password(options: &ConnectOptions) -> Result<&[u8]> {
    let password = options.password.as_ref().ok_or_else(|| {
        fault::unusable(
            options,
            "the server asks for a password, and none is given",
            "Put the password into the URL, or give it by the environment.",
        )
    })?;
    Ok(password.expose().as_bytes())
}

async fn send(
    link: &mut Link,
    options: &ConnectOptions,
    write: impl FnOnce(&mut BytesMut) -> io::Result<()>,
) -> Result<()> {
    let mut message = BytesMut::new();
    write(&mut message).map_err(|error| {
        fault::unusable(options, error, "Remove zero bytes from role and password.")
    })?;
    link.send(&message).await.map_err(|error| fault::unreachable(options, error))
}

fn weak(options: &ConnectOptions, offered: &str) -> backup_core::Error {
    fault::unusable(
        options,
        format!("channel_binding is require, and the server offers only {offered}"),
        "Use SCRAM over TLS at the server, or remove channel_binding=require.",
    )
}
