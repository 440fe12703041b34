//! Every GraphQL document that this provider sends. The tests hold each of them against Railway's
//! schema.

/// What a project token is for.
pub(crate) const TOKEN: &str = "query Token { projectToken { projectId environmentId } }";

/// Services of an environment, a page at a time.
pub(crate) const SERVICES: &str = "\
query Services($environment: String!, $after: String) {
  environment(id: $environment) {
    name
    serviceInstances(first: 100, after: $after) {
      pageInfo { hasNextPage endCursor }
      edges { node { serviceId serviceName startCommand numReplicas source { image } latestDeployment { id status } } }
    }
  }
}";

/// Volumes of an environment, a page at a time.
pub(crate) const VOLUMES: &str = "\
query Volumes($environment: String!, $after: String) {
  environment(id: $environment) {
    volumeInstances(first: 100, after: $after) {
      pageInfo { hasNextPage endCursor }
      edges { node { id volumeId serviceId state isPendingDeletion sizeMB currentSizeMB volume { name } } }
    }
  }
}";

/// The plan that is paid for.
pub(crate) const PROJECT: &str =
    "query Project($project: String!) { project(id: $project) { name subscriptionType } }";

/// A service's variables, rendered.
pub(crate) const VARIABLES: &str = "\
query Variables($project: String!, $environment: String!, $service: String!) {
  variables(projectId: $project, environmentId: $environment, serviceId: $service)
}";

/// Backups of a volume.
pub(crate) const BACKUPS: &str = "\
query Backups($volume: String!) {
  volumeInstanceBackupList(volumeInstanceId: $volume) {
    id name createdAt expiresAt usedMB referencedMB scheduleId
  }
}";

/// How often Railway backs a volume up.
pub(crate) const SCHEDULES: &str = "\
query Schedules($volume: String!) {
  volumeInstanceBackupScheduleList(volumeInstanceId: $volume) { kind retentionSeconds }
}";

/// How far a workflow is.
pub(crate) const WORKFLOW: &str =
    "query Workflow($id: String!) { workflowStatus(workflowId: $id) { status error } }";

/// What is staged in an environment and not applied.
pub(crate) const STAGED: &str = "\
query Staged($environment: String!) {
  environmentStagedChanges(environmentId: $environment) { status patch }
}";

/// Takes a backup; the answer does not say its id.
pub(crate) const BACK_UP: &str = "\
mutation BackUp($volume: String!, $name: String!) {
  volumeInstanceBackupCreate(volumeInstanceId: $volume, name: $name) { workflowId }
}";

/// Deletes a backup.
pub(crate) const DELETE_BACKUP: &str = "\
mutation DeleteBackup($volume: String!, $backup: String!) {
  volumeInstanceBackupDelete(volumeInstanceId: $volume, volumeInstanceBackupId: $backup) { workflowId }
}";

/// Takes a backup's expiry away, for ever.
pub(crate) const LOCK_BACKUP: &str = "\
mutation LockBackup($volume: String!, $backup: String!) {
  volumeInstanceBackupLock(volumeInstanceId: $volume, volumeInstanceBackupId: $backup)
}";

/// Replaces the schedule.
pub(crate) const SET_SCHEDULE: &str = "\
mutation SetSchedule($volume: String!, $kinds: [VolumeInstanceBackupScheduleKind!]!) {
  volumeInstanceBackupScheduleUpdate(volumeInstanceId: $volume, kinds: $kinds)
}";

/// Stages the exchange of a volume for what a backup holds.
pub(crate) const STAGE_RESTORE: &str = "\
mutation StageRestore($volume: String!, $backup: String!) {
  volumeInstanceBackupRestore(volumeInstanceId: $volume, volumeInstanceBackupId: $backup) { workflowId }
}";

/// Applies everything that is staged in an environment.
pub(crate) const COMMIT: &str = "\
mutation Commit($environment: String!, $message: String!) {
  environmentPatchCommitStaged(environmentId: $environment, commitMessage: $message)
}";

/// Makes a new service with the database as it was at a moment.
pub(crate) const FORK: &str = "\
mutation Fork($volume: String!, $at: DateTime!, $name: String!) {
  volumeInstancePITRRestore(volumeInstanceId: $volume, targetTimestamp: $at, newServiceName: $name) { workflowId }
}";

/// Deletes a service in one environment.
pub(crate) const DELETE_SERVICE: &str = "\
mutation DeleteService($service: String!, $environment: String!) {
  serviceDelete(id: $service, environmentId: $environment)
}";

/// Deletes a volume.
pub(crate) const DELETE_VOLUME: &str =
    "mutation DeleteVolume($volume: String!) { volumeDelete(volumeId: $volume) }";

/// Names a volume.
pub(crate) const NAME_VOLUME: &str = "\
mutation NameVolume($volume: String!, $name: String!) {
  volumeUpdate(volumeId: $volume, input: { name: $name }) { id }
}";

/// All of them, for the tests.
#[doc(hidden)]
pub const ALL: [&str; 19] = [
    TOKEN,
    SERVICES,
    VOLUMES,
    PROJECT,
    VARIABLES,
    BACKUPS,
    SCHEDULES,
    WORKFLOW,
    STAGED,
    BACK_UP,
    DELETE_BACKUP,
    LOCK_BACKUP,
    SET_SCHEDULE,
    STAGE_RESTORE,
    COMMIT,
    FORK,
    DELETE_SERVICE,
    DELETE_VOLUME,
    NAME_VOLUME,
];
