//! What vendors keep, asked now and then: nobody waits long for one, and what it said last counts
//! for a while.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backup_core::SourceName;
use backup_core::port::Clock;
use backup_ops::SourceStatus;
use backup_ops::managed::{NativeStanding, count_in};
use jiff::Timestamp;

use super::scene::Scene;
use super::start::Daemon;

/// A vendor is asked no more often: a bit less than the time between two looks.
const ANEW: Duration = Duration::from_secs(240);
/// For so long a look waits for answers.
const WAIT: Duration = Duration::from_secs(5);
/// A vendor that has not answered for so long does not answer.
const SILENCE: Duration = Duration::from_secs(120);
/// What was said before that counts no more.
const STALE: Duration = Duration::from_secs(900);

/// What vendors said.
#[derive(Clone, Default)]
pub(super) struct Natives {
    kept: Arc<Mutex<BTreeMap<SourceName, Kept>>>,
}

/// Of one source.
#[derive(Default)]
struct Kept {
    /// When it was asked last.
    asked: Duration,
    /// What it says now is not what it said.
    stale: bool,
    answer: Option<(NativeStanding, Duration, Timestamp)>,
}

impl Kept {
    /// Takes an answer; one that tells no list leaves what was listed before, and when that was.
    fn hear(&mut self, told: NativeStanding, at: Duration, now: Timestamp) {
        self.answer = Some(match self.answer.take() {
            Some((before, at, said_at)) if before.listed && !told.listed => {
                (told.after(before), at, said_at)
            }
            _ => (told, at, now),
        });
    }
}

impl Daemon {
    /// Looks at what the vendors keep of sources whose promise counts that in, or whose provider
    /// snapshots are scheduled here, and judges those by it. A vendor that cannot be asked
    /// keeps nothing, as far as anybody knows.
    pub(super) async fn judge_natives(&self, sources: &mut [SourceStatus], now: Timestamp) {
        let inner = &self.inner;
        let loaded = inner.work.loaded();
        let promised = sources.iter_mut().filter_map(|status| {
            let settings = loaded.settings.sources.iter().find(|one| one.name == status.source)?;
            let native = &settings.native;
            let wanted = native.rpo.is_some() || native.schedule.is_some();
            wanted.then_some((status, settings.clone()))
        });
        let told = promised.map(|(status, settings)| {
            let provider = settings.provider.to_string();
            let (name, asked) = (settings.name.clone(), Arc::clone(&loaded));
            let ask = async move { asked.composer.native(&settings).await };
            async move {
                let native = inner.work.natives.of(&name, &inner.clock, &inner.scene, ask).await;
                let native = native.unwrap_or_else(|why| NativeStanding::unknown(&provider, why));
                count_in(status, native, now);
            }
        });
        futures::future::join_all(told).await;
    }
}

impl Natives {
    /// Asks the vendor of a source at the next look: it keeps something else now.
    pub(super) fn ask_anew(&self, source: &SourceName) {
        if let Some(kept) = self.lock().get_mut(source) {
            kept.stale = true;
        }
    }

    /// Forgets what was said: another configuration may ask somebody else.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    /// Returns what the vendor of a source says or said, or why that is not known.
    async fn of(
        &self,
        source: &SourceName,
        clock: &Arc<dyn Clock>,
        scene: &Arc<Scene>,
        ask: impl Future<Output = Option<NativeStanding>> + Send + 'static,
    ) -> Result<NativeStanding, String> {
        if self.is_due(source, clock.elapsed()) {
            let (this, name) = (self.clone(), source.clone());
            let (waiting, begun) = (clock, clock.elapsed());
            let (clock, scene) = (Arc::clone(clock), Arc::clone(scene));
            let asking = tokio::spawn(async move {
                // One that hangs is asked again.
                let told = tokio::select! {
                    biased;
                    told = ask => told,
                    () = clock.sleep(SILENCE) => None,
                };
                let Some(told) = told else { return };
                let at = clock.elapsed();
                if let Some(kept) = this.lock().get_mut(&name) {
                    kept.hear(told, at, clock.now());
                }
                if at.saturating_sub(begun) >= WAIT {
                    // Nobody waited for it.
                    scene.stirred.notify_one();
                }
            });
            // It goes on behind who does not wait any longer.
            tokio::select! {
                biased;
                _ = asking => {}
                () = waiting.sleep(WAIT) => {}
            }
        }
        let kept = self.lock();
        let Some((told, at, told_at)) = kept.get(source).and_then(|kept| kept.answer.as_ref())
        else {
            return Err("it has not answered yet".into());
        };
        let age = clock.elapsed().saturating_sub(*at);
        if age > STALE {
            let minutes = age.as_secs() / 60;
            return Err(match &told.error {
                Some(error) => format!("its list was not read for {minutes} min: {error}"),
                None => format!("it has not answered for {minutes} min"),
            });
        }
        Ok(NativeStanding { told_at: Some(*told_at), ..told.clone() })
    }

    fn is_due(&self, source: &SourceName, now: Duration) -> bool {
        let mut kept = self.lock();
        let due = kept
            .get(source)
            .is_none_or(|kept| kept.stale || now.saturating_sub(kept.asked) >= ANEW);
        if due {
            let kept = kept.entry(source.clone()).or_default();
            (kept.asked, kept.stale) = (now, false);
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SourceName, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use backup_testkit::FakeClock;

    use super::*;

    #[tokio::test]
    async fn a_vendor_is_asked_now_and_then_and_nobody_waits_long() {
        let fake = Arc::new(FakeClock::manual(Timestamp::UNIX_EPOCH));
        let clock = Arc::clone(&fake) as Arc<dyn Clock>;
        let (natives, scene) = (Natives::default(), Arc::new(Scene::default()));
        let (source, asked) = ("shop".parse().unwrap(), Arc::new(AtomicUsize::new(0)));
        let look = async |hangs: bool| {
            let count = Arc::clone(&asked);
            let ask = async move {
                count.fetch_add(1, Ordering::SeqCst);
                if hangs {
                    std::future::pending::<()>().await;
                }
                let provider = "memory".into();
                Some(NativeStanding { provider, listed: true, ours: 3, ..<_>::default() })
            };
            let slept = fake.slept();
            let passing = async {
                while hangs && fake.slept() < slept + WAIT + SILENCE {
                    tokio::task::yield_now().await;
                }
                if hangs {
                    fake.advance(WAIT);
                }
            };
            let told = natives.of(&source, &clock, &scene, ask);
            let (told, ()) = tokio::join!(told, passing);
            (told.map(|told| (told.ours, told.told_at)), asked.load(Ordering::SeqCst))
        };
        assert_eq!(look(true).await, (Err("it has not answered yet".into()), 1));
        assert_eq!(look(false).await, (Err("it has not answered yet".into()), 1));
        fake.advance(ANEW);
        let first = clock.now();
        assert_eq!(look(false).await, (Ok((3, Some(first))), 2));
        fake.advance(Duration::from_secs(60));
        assert_eq!(look(false).await, (Ok((3, Some(first))), 2), "of last time");
        natives.ask_anew(&source);
        let first = clock.now();
        assert_eq!(look(false).await, (Ok((3, Some(first))), 3), "something was taken since");
        assert_eq!(look(false).await, (Ok((3, Some(first))), 3));
        fake.advance(ANEW);
        assert_eq!(look(true).await, (Ok((3, Some(first))), 4), "while it hangs");
        fake.advance(STALE);
        assert_eq!(look(true).await, (Err("it has not answered for 19 min".into()), 5));
        natives.forget();
        assert!(look(false).await.0.is_ok());
    }

    #[tokio::test]
    async fn an_answer_that_tells_nothing_takes_nothing_away_until_what_was_said_is_stale() {
        let fake = Arc::new(FakeClock::manual(Timestamp::UNIX_EPOCH));
        let clock = Arc::clone(&fake) as Arc<dyn Clock>;
        let (natives, scene) = (Natives::default(), Arc::new(Scene::default()));
        let source = "shop".parse().unwrap();
        let look = async |error: Option<&str>| {
            let told = NativeStanding {
                provider: "memory".into(),
                listed: error.is_none(),
                ours: if error.is_none() { 3 } else { 0 },
                error: error.map(str::to_owned),
                ..<_>::default()
            };
            let told = natives.of(&source, &clock, &scene, async move { Some(told) }).await;
            told.map(|told| (told.listed, told.ours, told.error, told.told_at))
        };
        let error = || Some("503".to_owned());
        let first = clock.now();
        assert_eq!(look(Some("503")).await, Ok((false, 0, error(), Some(first))), "never known");
        fake.advance(ANEW);
        let listed = clock.now();
        assert_eq!(look(None).await, Ok((true, 3, None, Some(listed))));
        for _ in 0..3 {
            fake.advance(ANEW);
            assert_eq!(look(Some("503")).await, Ok((true, 3, error(), Some(listed))));
        }
        fake.advance(ANEW);
        assert_eq!(look(Some("503")).await, Err("its list was not read for 16 min: 503".into()));
        fake.advance(ANEW);
        let again = clock.now();
        assert_eq!(look(None).await, Ok((true, 3, None, Some(again))));
    }
}
