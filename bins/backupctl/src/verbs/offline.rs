//! `completions`, `man`, `schema`: what needs no repository.

use backup::ops::document;
use backup_core::{Error, ErrorKind, Result};
use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs, ManArgs, SchemaArgs};
use crate::exit::Ending;
use crate::render::screen::Screen;

pub(super) fn completions(screen: &Screen, args: &CompletionsArgs) -> Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "backupctl", &mut script);
    screen.data(&String::from_utf8_lossy(&script));
    Ok(Ending::Ok)
}

pub(super) fn man(screen: &Screen, args: &ManArgs) -> Result<Ending> {
    let failed =
        |error: std::io::Error| Error::new(ErrorKind::Failed, "write manual pages").because(error);
    match &args.output {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
            screen.say(&format!("wrote the manual pages to {}", folder.display()));
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(failed)?;
            screen.data(&String::from_utf8_lossy(&page));
        }
    }
    Ok(Ending::Ok)
}

pub(super) fn schema(screen: &Screen, args: &SchemaArgs) -> Result<Ending> {
    let Some(name) = &args.output else {
        screen.data(&format!("{:#}\n", backup::config::schema()));
        return Ok(Ending::Ok);
    };
    if name == "list" {
        for name in document::schema::names() {
            screen.data(&format!("{name}\n"));
        }
        return Ok(Ending::Ok);
    }
    let Some(text) = document::schema::of(name) else {
        return Err(Error::new(ErrorKind::NotFound, "find schema")
            .with("name", name)
            .hint("Run `backupctl schema --output list` to see the names."));
    };
    screen.data(&text);
    Ok(Ending::Ok)
}
