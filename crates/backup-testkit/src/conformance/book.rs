//! The contract of [`HandleBook`].

use std::sync::Arc;

use backup_core::SourceName;
use backup_core::port::{CopyFrom, Handle, HandleBook, Intent};
use jiff::Timestamp;

/// Holds a book to its contract. `open` opens it as a process of its own would; dropping what it
/// returned is that process's death.
///
/// # Panics
/// When it breaks the contract.
pub async fn handle_book<B: HandleBook + 'static>(open: impl Fn() -> Arc<B>) {
    let (shop, blog) = (SourceName::from_database("shop"), SourceName::from_database("blog"));
    let first = open();
    assert!(none(first.abandoned(&shop, any).await), "an empty book is empty");
    let intended = Handle::intended("neon", intent("a"), at(1));
    let begun = intended.clone().begun(vec!["op-1".into()], Some("br-1".into()));
    for handle in [&intended, &begun] {
        let kept = first.keep(&shop, "copy-a", handle).await;
        assert!(kept.is_ok(), "{kept:?}");
    }
    let earlier = Handle::intended("neon", intent("b"), at(0));
    assert!(first.keep(&shop, "copy-b", &earlier).await.is_ok());
    assert!(first.keep(&shop, "copy-c", &earlier).await.is_ok());
    assert!(first.strike(&shop, "copy-c").await.is_ok());
    assert!(first.strike(&shop, "copy-c").await.is_ok(), "struck out already is struck out");

    let second = open();
    assert!(none(second.abandoned(&shop, any).await), "what a living process does is its own");
    assert!(none(first.abandoned(&shop, any).await), "to itself nothing of its own is abandoned");
    drop(first);
    assert!(none(second.abandoned(&blog, any).await), "sources do not mix");
    let later: fn(&Handle) -> bool = |handle| handle.begun;
    let lesser: fn(&Handle) -> bool = |handle| handle.platform == "none of them";
    assert!(none(second.abandoned(&shop, lesser).await), "nobody wants these");
    let third = open();
    let found = third.abandoned(&shop, later).await.unwrap_or_default();
    assert_eq!(found.len(), 1, "only what was asked for: {found:?}");
    drop(third);
    let found = second.abandoned(&shop, any).await;
    let wanted = vec![("copy-b".to_owned(), earlier), ("copy-a".to_owned(), begun)];
    assert!(
        found.as_ref().is_ok_and(|found| *found == wanted),
        "oldest first, as last kept: {found:?}"
    );

    let third = open();
    assert!(none(third.abandoned(&shop, any).await), "taken over once");
    assert!(second.strike(&shop, "copy-a").await.is_ok());
    drop(second);
    let found = third.abandoned(&shop, any).await.unwrap_or_default();
    assert_eq!(found.len(), 1, "whoever took it over may die as well: {found:?}");
    assert!(third.strike(&shop, "copy-b").await.is_ok());
    pins(open, &shop, &blog).await;
}

/// Pins outlive the process that set them.
async fn pins<B: HandleBook + 'static>(
    open: impl Fn() -> Arc<B>,
    shop: &SourceName,
    blog: &SourceName,
) {
    let pinned = async |source| open().pins(source).await.unwrap_or_default();
    for (id, there) in [("../é:1", true), ("b", true), ("b", true), ("c", true), ("c", false)] {
        assert!(open().pin(shop, id, there).await.is_ok(), "{id}");
    }
    assert!(open().pin(shop, "never", false).await.is_ok(), "let go of already is let go of");
    assert_eq!(pinned(shop).await, ["../é:1", "b"]);
    assert_eq!(pinned(blog).await, Vec::<String>::new(), "sources do not mix");
    for id in ["../é:1", "b"] {
        assert!(open().pin(shop, id, false).await.is_ok(), "{id}");
    }
    assert_eq!(pinned(shop).await, Vec::<String>::new());
}

fn any(_: &Handle) -> bool {
    true
}

fn none<T>(found: backup_core::Result<Vec<T>>) -> bool {
    found.is_ok_and(|found| found.is_empty())
}

fn intent(name: &str) -> Intent {
    Intent::Copy { name: name.into(), from: CopyFrom::At(at(9)), expires_at: Some(at(99)) }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
