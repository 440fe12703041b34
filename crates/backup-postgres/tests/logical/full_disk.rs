//! A target without room.

use std::path::PathBuf;
use std::process::Command;

use backup_testkit::postgres::Cluster;

use crate::support::{MemoryParts, back_up, restore, restore_options, tools};

/// A small filesystem that anybody may use; only root can make one.
struct Small(PathBuf);

impl Small {
    fn mount(directory: PathBuf) -> Option<Self> {
        std::fs::create_dir(&directory).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=12m,mode=1777", "tmpfs"])
            .arg(&directory)
            .output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self(directory));
        }
        None
    }

    fn grow(&self) {
        let status = Command::new("mount").args(["-o", "remount,size=200m"]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_target_is_said_and_a_rerun_with_room_succeeds() {
    let Some(cluster) = Cluster::start(17).or_else(|| Cluster::start(15)) else { return };
    let tools = tools(&[&cluster]);
    cluster.sql("postgres", "CREATE DATABASE shop");
    let wide = "SELECT n AS id, repeat(md5(n::text), 20) AS text FROM generate_series(1, 30000) n";
    cluster.sql("shop", &format!("CREATE TABLE t AS {wide}; ALTER TABLE t ADD PRIMARY KEY (id)"));
    let taken = back_up(&cluster.url("shop"), &tools, MemoryParts::default()).await.unwrap();

    let Some(disk) = Small::mount(cluster.socket_folder().join("small")) else { return };
    let folder = disk.0.join("space");
    std::fs::create_dir(&folder).unwrap();
    let owner = std::fs::metadata(cluster.socket_folder()).unwrap();
    let (user, group) = {
        use std::os::unix::fs::MetadataExt;
        (owner.uid(), owner.gid())
    };
    std::os::unix::fs::chown(&folder, Some(user), Some(group)).unwrap();
    let create = format!("CREATE TABLESPACE small LOCATION '{}'", folder.display());
    cluster.sql("postgres", &create);
    cluster.sql("postgres", "CREATE DATABASE copy TEMPLATE template0 TABLESPACE small");
    let url = cluster.url("copy");
    let error = restore(&taken, &url, &tools, restore_options(2)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("No space left") && text.contains("partly restored"), "{text}");
    assert!(error.remedy().unwrap().contains("disk space"), "{error:?}");
    assert_eq!(cluster.sql("shop", "SELECT count(*) FROM t").trim(), "30000");

    disk.grow();
    let again = "CREATE DATABASE copy TEMPLATE template0 TABLESPACE small";
    cluster.sql("postgres", "DROP DATABASE copy WITH (FORCE)");
    cluster.sql("postgres", again);
    restore(&taken, &url, &tools, restore_options(2)).await.unwrap();
    assert_eq!(cluster.sql("copy", "SELECT count(*) FROM t").trim(), "30000");
    cluster.sql("postgres", "DROP DATABASE copy WITH (FORCE)");
    cluster.sql("postgres", "DROP TABLESPACE small");
}
