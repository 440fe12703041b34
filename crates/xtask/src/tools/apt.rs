//! System packages, by `apt-get` in one call and only those that are missing.

use std::process::Command;

use anyhow::{Result, bail};

use super::Wanted;
use crate::command::{capture, run, works};
use crate::machine;

/// How a need shows that it is met: a program on the path, or only the package database knows.
struct Need {
    package: &'static str,
    program: Option<&'static str>,
}

const fn program(package: &'static str, program: &'static str) -> Need {
    Need { package, program: Some(program) }
}

const fn library(package: &'static str) -> Need {
    Need { package, program: None }
}

const COMMON: &[Need] = &[
    program("openssl", "openssl"),
    program("zstd", "zstd"),
    program("strace", "strace"),
    program("faketime", "faketime"),
    program("systemd", "systemd-analyze"),
    program("python3", "python3"),
    // Debian puts it where only root looks for programs.
    library("pgbouncer"),
    library("openssh-server"),
    program("openssh-client", "ssh"),
    library("python3-venv"),
    library("python3-pip"),
    // Debian puts it where only root looks for programs.
    library("mariadb-server"),
    // For the recovery script of docs/examples.
    library("python3-cryptography"),
    library("ca-certificates"),
    // What the PostgreSQL archives link and Debian's minimal image lacks.
    library("libxml2"),
    library("liblz4-1"),
    library("libzstd1"),
    library("libreadline8"),
    library("libgssapi-krb5-2"),
];
const BENCH: &[Need] = &[
    program("restic", "restic"),
    program("borgbackup", "borg"),
    program("gzip", "gzip"),
    program("pgbackrest", "pgbackrest"),
    program("barman", "barman"),
    program("mydumper", "mydumper"),
];
const FUZZ: &[Need] = &[program("g++", "c++")];

/// Installs what is missing; says which packages those were.
pub(super) fn install(wanted: Wanted) -> Result<String> {
    let mut needs: Vec<&Need> = COMMON.iter().collect();
    if wanted.bench {
        needs.extend(BENCH);
    }
    if wanted.fuzz {
        needs.extend(FUZZ);
    }
    let missing: Vec<&str> =
        needs.into_iter().filter(|need| !is_met(need)).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok("all there".to_owned());
    }
    if machine::find_program("apt-get").is_none() {
        bail!(
            "this machine has no apt-get; install the equivalents of: {} (tested on Debian 12)",
            missing.join(" ")
        );
    }
    let Some(privileged) = privileged() else {
        bail!(
            "not root and no passwordless sudo; run this once, then try again:\n  \
             sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
            missing.join(" ")
        );
    };
    run(&mut apt_get(privileged, &["update", "-qq"]))?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&missing);
    run(&mut apt_get(privileged, &arguments))?;
    Ok(format!("installed {}", missing.join(" ")))
}

fn is_met(need: &Need) -> bool {
    match need.program {
        Some(name) => machine::find_program(name).is_some(),
        None => is_installed(need.package),
    }
}

fn is_installed(package: &str) -> bool {
    let query = ["-W", "-f=${db:Status-Status}", package];
    capture(Command::new("dpkg-query").args(query)).is_ok_and(|status| status == "installed")
}

/// What comes before `apt-get`: nothing for root, `sudo -n` where that works.
fn privileged() -> Option<&'static [&'static str]> {
    if machine::is_root() {
        return Some(&[]);
    }
    works("sudo", &["-n", "true"]).then_some(&["sudo", "-n"])
}

fn apt_get(prefix: &[&str], arguments: &[&str]) -> Command {
    let mut words = prefix.to_vec();
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    words.extend(arguments);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}
