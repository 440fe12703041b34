//! What this machine has: programs and space.

use std::num::NonZeroUsize;

use backup_core::ByteSize;
use backup_ops::doctor::Check;
use backup_ops::health::Room;
use backup_postgres::tools::ToolPaths;
use backup_storage::StoreUrl;

/// Below this a disk is as good as full: a few packs.
const LITTLE: u64 = 1 << 30;

/// Returns how many connections to use when nobody said: one a core, four at most.
#[must_use]
pub fn default_jobs() -> NonZeroUsize {
    let four = NonZeroUsize::MIN.saturating_add(3);
    std::thread::available_parallelism().map_or(NonZeroUsize::MIN, |cores| cores.min(four))
}

/// Looks for PostgreSQL's client programs.
pub async fn check_tools(tools: &ToolPaths) -> Check {
    let mut found = Vec::new();
    for program in ["pg_dump", "pg_restore"] {
        let versions: Vec<String> =
            tools.find(program).await.iter().map(|tool| tool.major.to_string()).collect();
        if versions.is_empty() {
            return Check::unmet(
                "client programs",
                format!("{program} was not found"),
                "Install PostgreSQL's client programs of the server's major version or newer \
                 (Debian: apt install postgresql-client).",
            );
        }
        found.push(format!("{program} {}", versions.join(" and ")));
    }
    Check::ok("client programs", found.join(", "))
}

/// Looks how much space is left for a repository on a local disk; nothing for other stores,
/// or when the disk does not say.
#[must_use]
pub fn check_space(repository_url: &str) -> Option<Check> {
    let StoreUrl::Disk(path) = StoreUrl::parse(repository_url).ok()? else { return None };
    let disk = rustix::fs::statvfs(&path).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let detail = format!("{} free at {}", ByteSize(free), path.display());
    Some(if free >= LITTLE {
        Check::ok("disk space", detail)
    } else {
        Check::warning("disk space", detail, "Free space, or prune, before the next backup.")
    })
}

/// Returns the bytes of the disk a repository is on and those that are free; nothing for other
/// stores, or when the disk does not say.
#[cfg(unix)]
pub(crate) fn room(repository_url: &str) -> Option<Room> {
    let StoreUrl::Disk(path) = StoreUrl::parse(repository_url).ok()? else { return None };
    let disk = rustix::fs::statvfs(&path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Some(Room { capacity_bytes: bytes(disk.f_blocks), available_bytes: bytes(disk.f_bavail) })
}
