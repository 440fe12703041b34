//! Making exactly one of something, at vendors that know no idempotency keys.

use std::time::Duration;

use crate::api::Api;
use crate::error::{ApiError, Fate};

/// How often what a lost response may have made is looked for, before it is made again.
const LOOKS: u32 = 4;
/// How often it is made in all.
const ATTEMPTS: u32 = 3;

/// Makes one thing of a name of its own, or adopts the one that is there.
///
/// `find` looks for it by that name; `create` asks for it once. The name is looked for first. When
/// nobody knows whether `create` worked, it is looked for several times, since lists lag behind,
/// and only then asked for again.
pub async fn create_or_adopt<T, F, C>(
    api: &Api,
    find: impl Fn() -> F + Send + Sync,
    create: impl Fn() -> C + Send + Sync,
) -> Result<T, ApiError>
where
    T: Send,
    F: Future<Output = Result<Option<T>, ApiError>> + Send,
    C: Future<Output = Result<T, ApiError>> + Send,
{
    if let Some(found) = find().await? {
        return Ok(found);
    }
    let mut attempt = 1;
    loop {
        let error = match create().await {
            Ok(made) => return Ok(made),
            Err(error) => error,
        };
        // "There already" is the answer to what was made before its answer was lost.
        let there = error.status() == Some(409);
        if error.fate() != Fate::Unknown && !there {
            return Err(error);
        }
        let mut pause = Duration::from_secs(1);
        for _ in 0..LOOKS {
            if let Some(found) = find().await? {
                tracing::debug!(error = %error, "adopted what a lost response left behind");
                return Ok(found);
            }
            if there {
                return Err(error);
            }
            api.clock().sleep(pause).await;
            pause *= 2;
        }
        attempt += 1;
        if attempt > ATTEMPTS {
            return Err(error);
        }
    }
}
