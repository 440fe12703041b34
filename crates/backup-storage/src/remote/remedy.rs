//! What to do about a service's refusal.

use super::answer::Answer;

/// Returns what to do about a refusal, as a sentence.
pub(super) fn remedy(error: &opendal::Error, answer: &Answer) -> Option<&'static str> {
    let by_code = answer.code.as_deref().and_then(remedy_by_code);
    by_code.or_else(|| match (error.kind(), answer.status.as_deref()) {
        (opendal::ErrorKind::PermissionDenied, _) => remedy_by_code("AccessDenied"),
        (opendal::ErrorKind::RateLimited, _) | (_, Some("503")) => remedy_by_code("SlowDown"),
        (_, Some("301" | "307" | "308")) => remedy_by_code("PermanentRedirect"),
        (_, Some("507")) => remedy_by_code("QuotaExceeded"),
        (opendal::ErrorKind::NotFound, _) => Some(
            "Check that `endpoint` is the S3 endpoint: something answered, but not as an object \
             store does.",
        ),
        _ if mentions_credentials(error) => Some(
            "Nothing says who asks. S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or choose an \
             AWS profile; Azure: AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN; Google: \
             GOOGLE_APPLICATION_CREDENTIALS; or run where the machine or container has a role.",
        ),
        _ if error.message().contains("region is missing") => {
            Some("Add region=… to the URL or set AWS_REGION.")
        }
        _ => None,
    })
}

fn remedy_by_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "NoSuchBucket" => {
            "Create the bucket, or correct its name, the endpoint or the region in the URL."
        }
        "InvalidAccessKeyId" | "InvalidToken" => {
            "The access key id is not known there: check AWS_ACCESS_KEY_ID (and AWS_SESSION_TOKEN), \
             and that the keys belong to this endpoint."
        }
        "SignatureDoesNotMatch" => {
            "The secret key does not fit the access key id: check AWS_SECRET_ACCESS_KEY, and the \
             region in the URL."
        }
        "ExpiredToken" | "TokenRefreshRequired" => {
            "The temporary keys have expired: fetch new ones, or use a role that renews them."
        }
        "RequestTimeTooSkewed" | "RequestExpired" => {
            "The clock of this host is wrong by more than 15 minutes: correct it (for example with \
             NTP)."
        }
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "UnauthorizedAccess" => {
            "Grant these keys s3:GetObject, s3:PutObject, s3:DeleteObject on the prefix and \
             s3:ListBucket on the bucket; without s3:ListBucket an absent object is also reported \
             like this. docs/storage.md has the policy per command."
        }
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => {
            "The bucket is in another region: correct region=… (and endpoint=…) in the URL."
        }
        "SlowDown" | "SlowDownRead" | "SlowDownWrite" | "TooManyRequests"
        | "ServiceUnavailable" | "Busy" => {
            "The store asks for fewer requests: try again later, or allow fewer requests at a time."
        }
        "QuotaExceeded"
        | "XMinioStorageFull"
        | "InsufficientStorage"
        | "XMinioAdminBucketQuotaExceeded"
        | "StorageQuotaExceeded" => {
            "The store is full: free space, raise the quota, or let `prune` remove snapshots that \
             retention no longer needs."
        }
        "InvalidObjectState" => {
            "The object was moved to an archive class: restore it there first, and exclude the \
             repository from lifecycle rules that archive."
        }
        "BadDigest"
        | "InvalidDigest"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch" => {
            "What arrived is not what was sent: check the network path, memory and proxies."
        }
        "InvalidArgument" | "InvalidRequest" | "UnsupportedHeader" | "NotImplemented" => {
            "The service does not know something that was asked of it; try checksum=off in the URL."
        }
        "ObjectLocked" | "ObjectLockConfigurationNotFoundError" => {
            "The object is under retention; it can be deleted once its lock has run out."
        }
        // Google's.
        "forbidden" | "insufficientPermissions" => {
            "Give this identity storage.objects.create, .get, .list and, for prune, .delete on the \
             bucket (the role Storage Object User has them)."
        }
        "required" | "authError" => {
            "Set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account, or run where the \
             machine has one."
        }
        // Azure's.
        "AuthenticationFailed" | "InvalidAuthenticationInfo" | "AuthorizationFailure" => {
            "Check AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY (or the shared access signature and \
             the time it runs out), and this host's clock."
        }
        "AuthorizationPermissionMismatch" | "InsufficientAccountPermissions" => {
            "Give this identity the role \"Storage Blob Data Contributor\" on the container (a \
             shared access signature: read, create, list and, for prune, delete)."
        }
        "AccountIsDisabled" => "The storage account is disabled: look at it in Azure's portal.",
        "BlobArchived" => {
            "The object is in the archive tier: rehydrate it, and exclude the repository from \
             lifecycle rules that archive."
        }
        "BlobImmutableDueToPolicy" => {
            "The object is under retention; it can be deleted once its policy has run out."
        }
        "ServerBusy" | "OperationTimedOut" => {
            "The store asks for fewer requests: try again later, or allow fewer requests at a time."
        }
        "InvalidStorageClass" => "Correct storage_class=… in the URL.",
        "InvalidBucketName" => "Correct the bucket's name in the URL.",
        _ => return None,
    })
}

fn mentions_credentials(error: &opendal::Error) -> bool {
    let text = error.to_string();
    text.contains("credential")
}
