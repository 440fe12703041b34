//! Groups: sources that are one recovery set.

use backup_core::{Error, ErrorKind, Result, SourceName};
use backup_schedule::Blackouts;

use super::Resolver;
use super::layer::Layer;
use crate::file::group::{RawGroup, RawGroupDrill, RawKeys};
use crate::file::raw::RawFile;
use crate::file::text::Text;
use crate::group::{GroupDrillSettings, GroupSettings, KeysSettings};
use crate::settings::{Schedule, SourceSettings};
use crate::{DrillEvery, ProviderKind};

/// A group may not be longer: the manifest of each member names all others.
const MOST_MEMBERS: usize = 32;

impl Resolver<'_> {
    /// Resolves the groups. What their schedules do for the members, those do not do by themselves
    /// any more, unless their own tables say so.
    pub(super) fn groups(
        &self,
        file: &RawFile,
        sources: &mut [SourceSettings],
    ) -> Result<Vec<GroupSettings>> {
        if file.group.is_empty() {
            return Ok(Vec::new());
        }
        let layer = Layer::read(self)?;
        let mut groups: Vec<GroupSettings> = Vec::new();
        for (position, raw) in file.group.iter().enumerate() {
            let at =
                |key: &str, error: Error| self.locate(&format!("group.{position}.{key}"), error);
            let name = raw.name.as_ref().map(|name| name.0.clone()).ok_or_else(|| {
                at("sources", wrong("it has no name", "Write name = \"…\" into its [[group]]."))
            })?;
            if groups.iter().any(|other| other.name == name) {
                let why = format!("two groups are called '{name}'");
                return Err(at("name", wrong(why, "Give each [[group]] a name of its own.")));
            }
            if sources.iter().any(|source| source.name == name) {
                let why = format!("a source is called '{name}' as well");
                let hint = "Give the [[group]] another name than any [[source]].";
                return Err(at("name", wrong(why, hint)));
            }
            let members = members(raw, sources, &groups)
                .map_err(|error| at("sources", error.with("group", &name)))?;
            let mut drill = drill(&raw.drill, &members)
                .map_err(|error| at("drill", error.with("group", &name)))?;
            if raw.schedule.drill.is_none() {
                drill.every = drill.every.or(file.drill.every.as_ref().map(|every| every.0));
            }
            let schedule = layer.group_schedule(raw, file, drill.every)?;
            let rpo = raw.protection.rpo.as_ref().map(|rpo| rpo.0);
            let longest = members.iter().map(|member| member.protection.rpo).max();
            groups.push(GroupSettings {
                rpo: rpo.or(longest).unwrap_or_default(),
                sources: members.iter().map(|member| member.name.clone()).collect(),
                name,
                drill: with_interval(drill, &schedule),
                schedule,
            });
        }
        for group in &groups {
            take_over(group, file, sources);
        }
        Ok(groups)
    }
}

/// Returns the members of a group, in order.
fn members<'a>(
    raw: &RawGroup,
    sources: &'a [SourceSettings],
    groups: &[GroupSettings],
) -> Result<Vec<&'a SourceSettings>> {
    let mut members: Vec<&SourceSettings> = Vec::with_capacity(raw.sources.len());
    for Text(name) in &raw.sources {
        let member = sources.iter().find(|source| source.name == *name).ok_or_else(|| {
            let known: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            crate::settings::unknown_source(ErrorKind::ConfigInvalid, name.as_str(), &known)
        })?;
        if members.iter().any(|other| other.name == *name) {
            return Err(wrong(format!("it names '{name}' twice"), "Name each member once."));
        }
        if let Some(other) = groups.iter().find(|group| group.sources.contains(name)) {
            let why = format!("'{name}' is a member of '{}' already", other.name);
            return Err(wrong(why, "A source is a member of one group at most."));
        }
        let after_files = members.last().is_some_and(|last| is_files(last));
        if after_files && !is_files(member) {
            return Err(wrong(
                format!("the database '{name}' comes after files"),
                "Name the databases first, then the files: what a row refers to was there before \
                 the row, so files that are read later hold it.",
            ));
        }
        members.push(member);
    }
    match members.len() {
        0 | 1 => Err(wrong(
            "it has fewer than two members",
            "Write sources = [\"DATABASE\", \"FILES\"] with the names of two or more [[source]] \
             tables.",
        )),
        2..=MOST_MEMBERS => Ok(members),
        _ => Err(wrong(
            format!("it has more than {MOST_MEMBERS} members"),
            "Make several groups of them.",
        )),
    }
}

fn is_files(source: &SourceSettings) -> bool {
    source.provider == ProviderKind::Files
}

fn drill(raw: &RawGroupDrill, members: &[&SourceSettings]) -> Result<GroupDrillSettings> {
    let short = raw.keys_sql.as_ref().map(|sql| RawKeys {
        sql: sql.clone(),
        files: raw.files.clone(),
        database: raw.database.clone(),
        strip_prefix: raw.strip_prefix.clone(),
        add_prefix: raw.add_prefix.clone(),
        allow_empty: raw.allow_empty,
    });
    let idle = raw.files.is_some()
        || raw.database.is_some()
        || raw.strip_prefix.is_some()
        || raw.add_prefix.is_some()
        || raw.allow_empty.is_some();
    if short.is_none() && idle {
        return Err(wrong(
            "drill.files, database, strip_prefix, add_prefix and allow_empty belong to keys_sql, \
             which is not there",
            "Write drill.keys_sql = \"SELECT path FROM …\".",
        ));
    }
    let keys = short.iter().chain(&raw.keys).map(|keys| one(keys, members));
    Ok(GroupDrillSettings {
        every: raw.every.as_ref().map(|every| every.0),
        interval: None,
        keys: keys.collect::<Result<_>>()?,
    })
}

fn one(raw: &RawKeys, members: &[&SourceSettings]) -> Result<KeysSettings> {
    if raw.sql.trim().is_empty() {
        return Err(wrong("a keys_sql is empty", "Write a statement that returns one column."));
    }
    let find = |named: &Option<Text<SourceName>>, files: bool| {
        let (key, what) = if files { ("files", "files") } else { ("database", "a database") };
        let fitting: Vec<&SourceName> =
            members.iter().filter(|m| is_files(m) == files).map(|member| &member.name).collect();
        if let Some(Text(name)) = named {
            return match fitting.iter().find(|known| **known == name) {
                Some(name) => Ok((*name).clone()),
                None => Err(wrong(
                    format!("'{name}' is no member with {what}"),
                    format!("Write drill.{key} = \"…\" with the name of one that is."),
                )),
            };
        }
        match fitting.as_slice() {
            [only] => Ok((*only).clone()),
            [] => Err(wrong(
                format!("keys_sql needs a member with {what}, and there is none"),
                "Leave keys_sql out, or add the member.",
            )),
            _ => Err(wrong(
                format!("several members are {what}, and keys_sql does not say which is meant"),
                format!("Write drill.{key} = \"…\"."),
            )),
        }
    };
    Ok(KeysSettings {
        sql: raw.sql.clone(),
        files: find(&raw.files, true)?,
        database: find(&raw.database, false)?,
        strip_prefix: raw.strip_prefix.clone().unwrap_or_default(),
        add_prefix: raw.add_prefix.clone().unwrap_or_default(),
        allow_empty: raw.allow_empty.unwrap_or_default(),
    })
}

/// What is drilled by the clock is overdue when the clock was not heeded.
fn with_interval(mut drill: GroupDrillSettings, schedule: &Schedule) -> GroupDrillSettings {
    let stated = drill.every.and_then(DrillEvery::overdue_after);
    let scheduled = schedule.drill.as_ref().filter(|_| drill.every.is_none()).and_then(|cron| {
        let period = backup_retention::Period::from_secs(cron.longest_pause().as_secs());
        DrillEvery::Period(period).overdue_after().filter(|period| period.as_secs() > 0)
    });
    drill.interval = stated.or(scheduled);
    drill
}

impl Layer {
    fn group_schedule(
        &self,
        raw: &RawGroup,
        file: &RawFile,
        every: Option<DrillEvery>,
    ) -> Result<Schedule> {
        let (own, all) = (&raw.schedule, &file.schedule);
        let windows = own.blackout.as_ref().or(all.blackout.as_ref());
        let windows = windows.into_iter().flatten().map(|window| window.0.clone()).collect();
        let jitter = own.jitter.as_ref().or(all.jitter.as_ref());
        let general = all.drill.as_ref().filter(|_| every.is_none());
        let cron = |text: &Text<crate::Cron>| text.0.clone();
        Ok(Schedule {
            backup: self.backup().or_else(|| own.backup.as_ref().or(all.backup.as_ref()).map(cron)),
            drill: own.drill.as_ref().or(general).map(cron),
            jitter: jitter.map(|jitter| jitter.0).unwrap_or_default(),
            blackouts: Blackouts::new(windows)?,
            no_catch_up: !own.catch_up.or(all.catch_up).unwrap_or(true),
            ..Schedule::default()
        })
    }
}

/// The group's runs are its members' too: what only general settings ask of a member is done by
/// the group.
fn take_over(group: &GroupSettings, file: &RawFile, sources: &mut [SourceSettings]) {
    for source in sources.iter_mut().filter(|source| group.sources.contains(&source.name)) {
        let raw = file
            .source
            .iter()
            .find(|raw| raw.name.as_ref().is_some_and(|Text(name)| *name == source.name));
        let own = |of: fn(&crate::file::raw::RawSource) -> bool| raw.is_some_and(of);
        if group.schedule.backup.is_some() && !own(|raw| raw.schedule.backup.is_some()) {
            source.schedule.backup = None;
        }
        // Whoever wants each snapshot drilled gets that by the group only where each set is.
        let each = Some(DrillEvery::Snapshot);
        let drills = (group.schedule.drill.is_some() || group.drill.every.is_some())
            && (source.drill.every != each || group.drill.every == each);
        if drills && !own(|raw| raw.schedule.drill.is_some() || raw.drill.every.is_some()) {
            source.schedule.drill = None;
            source.drill.every = None;
        }
    }
}

fn wrong(why: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::new(ErrorKind::ConfigInvalid, "read configuration of group")
        .because(why.into())
        .hint(hint)
}
