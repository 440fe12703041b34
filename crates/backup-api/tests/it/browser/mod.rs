//! The pages in a real browser: light and dark, on a phone, with the keyboard, without scripts, and
//! live with them. `BACKUP_SCREENSHOTS=FOLDER` keeps a picture of each.

mod chromium;

use backup_api::port::Role;
use backup_api::view::{LiveKind, LogLevel, LogLine};
use serde_json::json;

use self::chromium::Chromium;
use crate::port::now;
use crate::serve::{Served, loopback};

const PAGES: [(&str, &str); 6] = [
    ("fleet", "/"),
    ("source", "/sources/orders"),
    ("runs", "/runs"),
    ("run", "/runs/run-catalog-now"),
    ("storage", "/storage"),
    ("audit", "/audit"),
];

const DESK: u32 = 1280;
const PHONE: u32 = 390;

/// Does something with a browser while the server goes on serving.
async fn browse<T: Send + 'static>(
    work: impl FnOnce(&mut Chromium) -> T + Send + 'static,
) -> Option<T> {
    let working = tokio::task::spawn_blocking(|| Chromium::start().map(|mut it| work(&mut it)));
    working.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_a_desk_and_a_phone_in_light_and_dark_without_a_complaint() {
    let served = Served::new(loopback()).await;
    let base = format!("http://{}", served.address);
    browse(move |browser| {
        let ground = "getComputedStyle(document.documentElement).backgroundColor + \
                      getComputedStyle(document.body).backgroundColor";
        for (name, target) in PAGES {
            let mut grounds = Vec::new();
            for (face, width, dark) in
                [("", DESK, false), ("-dark", DESK, true), ("-phone", PHONE, false)]
            {
                browser.face(width, dark);
                browser.open(&format!("{base}{target}"));
                let seen = browser.ask("document.documentElement.scrollWidth");
                assert!(seen.as_u64() <= Some(u64::from(width)), "{target} is {seen} wide, {face}");
                let tall = browser.ask("document.querySelector('main').offsetHeight");
                assert!(tall.as_u64() > Some(100), "{target}: {tall}");
                grounds.push(browser.ask(ground));
                browser.picture(&format!("{name}{face}"));
            }
            assert_ne!(grounds[0], grounds[1], "{target}: dark is another face");
            assert_eq!(grounds[0], grounds[2]);
        }
        assert_eq!(browser.complaints(), Vec::<String>::new());
    })
    .await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_the_pages_say_the_same() {
    let served = Served::new(loopback()).await;
    let base = format!("http://{}", served.address);
    browse(move |browser| {
        for (_, target) in PAGES {
            let mut said = Vec::new();
            for scripts in [true, false] {
                browser.scripts(scripts);
                browser.open(&format!("{base}{target}"));
                // Not the ages: time goes on between the two.
                said.push(browser.ask(
                    "[...document.querySelectorAll('main :is(h1, h2, th, dt, a, b, summary)')]\
                     .map(one => one.innerText.replace(/[0-9.]+/g, '#'))",
                ));
            }
            assert!(said[0].as_array().unwrap().len() > 5, "{target}: {}", said[0]);
            assert_eq!(said[0], said[1], "{target}");
        }
    })
    .await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_reaches_everything_and_shows_where_it_is() {
    let served = Served::new(loopback()).await;
    let base = format!("http://{}", served.address);
    browse(move |browser| {
        browser.face(DESK, false);
        // A page that follows what happens replaces what was counted.
        browser.scripts(false);
        browser.open(&format!("{base}/"));
        let all = browser.ask(
            "[...document.querySelectorAll('a[href],button,input:not([type=hidden]),select,summary')]\
             .filter(one => one.offsetParent !== null).map((one, n) => one.dataset.n = n).length",
        );
        let all = all.as_u64().unwrap();
        assert!(all > 10, "{all}");
        let mut reached = std::collections::BTreeSet::new();
        for _ in 0..2 * all {
            browser.press_tab();
            let seen = browser.ask(
                "(() => { const one = document.activeElement, style = getComputedStyle(one); \
                 return [one.dataset.n ?? null, style.outlineStyle, style.boxShadow]; })()",
            );
            let Some(number) = seen[0].as_str() else { continue };
            let shown = seen[1] != "none" || seen[2] != "none";
            assert!(shown, "nothing shows that element {number} has the focus: {seen}");
            reached.insert(number.to_owned());
        }
        assert_eq!(reached.len() as u64, all, "{reached:?}");
    })
    .await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_follows_what_happens_without_being_loaded_again() {
    let served = Served::new(loopback()).await;
    let base = format!("http://{}", served.address);
    let world = served.world.clone();
    browse(move |browser| {
        browser.open(&format!("{base}/runs/run-catalog-now"));
        browser.ask("window.mark = 7");
        browser.wait("document.getElementById('live').textContent.includes('live')");
        let line = LogLine { at: now(), level: LogLevel::Info, message: "rows <b>came</b>".into() };
        world.change_run(
            "run-catalog-now",
            |detail| detail.log.push(line.clone()),
            |_| LiveKind::Log { line: line.clone() },
        );
        browser.wait("document.querySelector('main').innerText.includes('rows <b>came</b>')");
        assert_eq!(browser.ask("window.mark"), json!(7), "its content was replaced, not the page");
    })
    .await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_signs_in_and_starts_a_backup_with_the_mouse() {
    let served = Served::new(loopback()).await;
    let token = served.token(Role::Operator).await;
    let base = format!("http://{}", served.address);
    browse(move |browser| {
        browser.open(&format!("{base}/login"));
        browser.ask(&format!("document.querySelector('input[type=password]').value = '{token}'"));
        browser.leave("document.querySelector('main form button').click()");
        let said = browser.ask("location.pathname + ' ' + document.body.innerText");
        assert!(said.as_str().unwrap().starts_with("/ "), "{said}");
        browser.open(&format!("{base}/sources/orders"));
        browser.leave(
            "[...document.querySelectorAll('button')]\
             .find(one => one.textContent.includes('Back up now')).click()",
        );
        let place = browser.ask("location.pathname");
        assert!(place.as_str().unwrap().starts_with("/runs/"), "{place}");
        let said = browser.ask("document.querySelector('main').innerText");
        assert!(said.as_str().unwrap().contains("orders"), "{said}");
    })
    .await;
    served.stop().await;
}
