//! Tests of shares: who creates them, what they give to whom, and when they end.

use std::time::Duration;

use kastrel_actors::model::{
    AccountChange, CancelledBy, Command, Deleted, DomainEvent, Principal, ProjectRole, TokenScope,
};
use kastrel_actors::policy::access::decide_scan;
use kastrel_actors::ports::Clock as _;
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::testing::fixtures;
use tokio::time::advance;

use super::super::testing::{Fixture, fields, project};
use super::*;
use crate::identity::secret::RandomSecret;

/// How long an identity is kept.
const MAX_AGE: Duration = Duration::from_millis(500);

/// A service with an operator `ana` of the default project, a scan in it that has ended, and `ben`,
/// who has no role and a session.
struct Stage {
    all: Fixture,
    ana: RequestContext,
    scan: ScanId,
    ben: RandomSecret,
}

impl Stage {
    async fn new() -> Self {
        let all = Fixture::new();
        let ana = all.user("ana", &[("default", ProjectRole::Operator), ("web", ProjectRole::Viewer)]).await;
        let ana = all.context(&ana).await;
        let ben = all.user("ben", &[]).await;
        let ben = all.session(&ben).await;
        let scan = all.store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        let cancel = Command::Cancel { by: CancelledBy::User, principal: Principal::System };
        all.store.apply(scan, cancel).await.unwrap();
        all.project("web").await;
        Self { all, ana, scan, ben }
    }

    async fn create(&self, grantee: &str, right: &str, days: Option<u32>) -> Result<Share, AccountError> {
        let request = ShareRequest { grantee: grantee.into(), right: right.into(), days };
        self.all.service.create_share(&self.ana, self.scan, request).await
    }

    /// Returns the right that the sender with this session has on the scan.
    async fn right(&self, secret: &RandomSecret) -> Option<&'static str> {
        let who = self.all.service.by_session(secret).await.unwrap()?;
        let record = self.all.store.get(self.scan).await.unwrap()?;
        let may = |operation| decide_scan(&who.grants, operation, &record).is_ok();
        match (may(Operation::ReadScans), may(Operation::CancelScans)) {
            (false, _) => None,
            (true, false) => Some("view"),
            (true, true) => Some("edit"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn share_takes_effect_at_once_and_ends_with_its_revocation() {
    let stage = Stage::new().await;
    assert_eq!(stage.right(&stage.ben).await, None);
    let share = stage.create(" user:ben ", "view", None).await.unwrap();
    assert_eq!((&share.created_by, share.expires_at), (&stage.ana.principal, None));
    assert_eq!(stage.right(&stage.ben).await, Some("view"));
    let replaced = stage.create("user:ben", "edit", Some(7)).await.unwrap();
    assert_eq!(stage.right(&stage.ben).await, Some("edit"));
    assert_eq!(stage.all.service.shares(&stage.ana, stage.scan).await.unwrap(), std::slice::from_ref(&replaced));
    let revoke = async || stage.all.service.revoke_share(&stage.ana, stage.scan, "user:ben").await.unwrap();
    assert!(revoke().await);
    assert_eq!(stage.right(&stage.ben).await, None);
    assert!(!revoke().await);
    let event = DomainEvent::ShareRevoked { grantee: replaced.grantee };
    assert_eq!(stage.all.audit().await.last(), Some(&(stage.ana.principal.clone(), event)));
}

#[tokio::test(start_paused = true)]
async fn share_of_another_process_takes_effect_within_500_ms_and_expires() {
    let stage = Stage::new().await;
    assert_eq!(stage.right(&stage.ben).await, None);
    let now = stage.all.clock.now();
    let share = Share {
        scan: stage.scan,
        grantee: "user:ben".parse().unwrap(),
        right: ShareRight::Edit,
        created_by: Principal::System,
        created_at: now,
        expires_at: Some(now + SignedDuration::from_secs(60)),
    };
    let home = ProjectId::default();
    assert_eq!(stage.all.store.create_share(share, &home, 9).await.unwrap(), ShareCreated::Created);
    advance(MAX_AGE).await;
    assert_eq!(stage.right(&stage.ben).await, Some("edit"));
    advance(Duration::from_secs(60)).await;
    assert_eq!(stage.right(&stage.ben).await, None);
    assert_eq!(stage.all.service.shares(&stage.ana, stage.scan).await.unwrap(), [], "an expired share is not shown");
}

#[tokio::test(start_paused = true)]
async fn members_lose_the_share_when_they_leave_and_a_disabled_account_has_none() {
    let stage = Stage::new().await;
    let (all, home) = (&stage.all, project("web"));
    stage.create("project:web", "edit", None).await.unwrap();
    let ben = "ben".parse().unwrap();
    let set = async |role| {
        all.store.set_member(&home, &ben, role, &Principal::System).await.unwrap();
        advance(MAX_AGE).await;
    };
    for (role, expected) in [
        (Some(ProjectRole::Scanner), Some("edit")),
        (Some(ProjectRole::Viewer), Some("view")),
        (None, None),
        (Some(ProjectRole::Owner), Some("edit")),
    ] {
        set(role).await;
        assert_eq!(stage.right(&stage.ben).await, expected, "{role:?}");
    }
    all.store.change_account(&ben, AccountChange::Disable, &Principal::System).await.unwrap();
    advance(MAX_AGE).await;
    assert_eq!(stage.right(&stage.ben).await, None);
}

#[tokio::test(start_paused = true)]
async fn transfer_and_deletion_end_shares() {
    for is_transfer in [true, false] {
        let stage = Stage::new().await;
        stage.create("user:ben", "edit", None).await.unwrap();
        if is_transfer {
            let by = Principal::System;
            let transfer = Command::Transfer { from: ProjectId::default(), to: project("web"), principal: by };
            stage.all.store.apply(stage.scan, transfer).await.unwrap();
        } else {
            let deleted = stage.all.store.delete(stage.scan, &Principal::System).await.unwrap();
            assert!(matches!(deleted, Deleted::Gone(_)));
        }
        advance(MAX_AGE).await;
        assert_eq!(stage.right(&stage.ben).await, None);
        let who = stage.all.service.by_session(&stage.ben).await.unwrap().unwrap();
        assert!(!who.grants.has_shares());
        assert_eq!(stage.all.service.received_shares(&who).await.unwrap(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn only_who_shares_scans_manages_shares_and_a_share_is_not_passed_on() {
    let stage = Stage::new().await;
    let all = &stage.all;
    stage.create("user:ben", "edit", None).await.unwrap();
    let shared = all.service.by_session(&stage.ben).await.unwrap().unwrap();
    let shared = RequestContext { principal: shared.principal, grants: shared.grants, ..fixtures::context() };
    let bob = all.user("bob", &[("default", ProjectRole::Scanner)]).await;
    let eve = all.user("eve", &[("web", ProjectRole::Owner)]).await;
    let contexts = [(shared, true), (all.context(&bob).await, true), (all.context(&eve).await, false)];
    for (context, is_visible) in contexts {
        let request = ShareRequest { grantee: "user:eve".into(), right: "view".into(), days: None };
        let denied = [
            all.service.shares(&context, stage.scan).await.unwrap_err(),
            all.service.create_share(&context, stage.scan, request).await.unwrap_err(),
            all.service.revoke_share(&context, stage.scan, "user:ben").await.unwrap_err(),
            all.service.public_links(&context, stage.scan).await.unwrap_err(),
        ];
        for error in denied {
            let lacks = matches!(error, AccountError::Denied(Denial::Lacks { .. }));
            let is_hidden = matches!(error, AccountError::Denied(Denial::NotVisible));
            assert_eq!((lacks, is_hidden), (is_visible, !is_visible), "{}", context.principal);
        }
    }
    let missing = all.service.shares(&stage.ana, ScanId(99)).await.unwrap_err();
    assert!(matches!(missing, AccountError::Denied(Denial::NotVisible)));
}

#[tokio::test(start_paused = true)]
async fn invalid_fields_of_a_share_are_named_and_say_nothing_about_disabled_accounts() {
    let stage = Stage::new().await;
    let all = &stage.all;
    all.project("hidden").await;
    let gone = all.user("gone", &[]).await;
    all.store.change_account(&gone, AccountChange::Disable, &Principal::System).await.unwrap();
    all.account("robot", AccountKind::Service, None, &[]).await;
    let wrong = async |grantee: &str| match stage.create(grantee, "view", None).await {
        Err(AccountError::Invalid(mut errors)) => errors.remove(0).message,
        other => panic!("{grantee}: {other:?}"),
    };
    let no_user = "there is no active user with this name";
    for name in ["user:nobody", "user:gone", "user:robot"] {
        assert_eq!(wrong(name).await, no_user, "{name}");
    }
    for id in ["project:hidden", "project:nowhere"] {
        assert_eq!(wrong(id).await, "there is no such project", "{id}");
    }
    for (grantee, message) in [
        ("user:ana", "you may see the scan already"),
        ("project:default", "the members of this project may see the scan already"),
        ("ben", "expected user:NAME or project:ID"),
        ("service:robot", "expected user:NAME or project:ID"),
    ] {
        assert_eq!(wrong(grantee).await, message, "{grantee}");
    }
    assert_eq!(fields(stage.create("x", "own", Some(0)).await), ["grantee", "right", "days"]);
    assert_eq!(fields(stage.create("user:ben", "view", Some(366)).await), ["days"]);
    assert_eq!(all.service.shares(&stage.ana, stage.scan).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn shares_of_a_grantee_are_bounded() {
    let stage = Stage::new().await;
    let all = &stage.all;
    all.store.forget_history();
    for _ in 0..MOST_OF_GRANTEE {
        let scan = all.store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        let request = ShareRequest { grantee: "user:ben".into(), right: "view".into(), days: None };
        all.service.create_share(&stage.ana, scan, request).await.unwrap();
    }
    assert_eq!(fields(stage.create("user:ben", "view", None).await), ["grantee"]);
}

#[tokio::test(start_paused = true)]
async fn received_shares_are_those_that_give_most_within_the_limits_of_a_token() {
    let stage = Stage::new().await;
    let all = &stage.all;
    let home = project("web");
    let ben = "ben".parse().unwrap();
    all.store.set_member(&home, &ben, Some(ProjectRole::Operator), &Principal::System).await.unwrap();
    stage.create("user:ben", "view", None).await.unwrap();
    let by_project = stage.create("project:web", "edit", Some(3)).await.unwrap();
    let who = all.service.by_session(&stage.ben).await.unwrap().unwrap();
    let expected = ReceivedShare { share: by_project, right: ShareRight::Edit };
    assert_eq!(all.service.received_shares(&who).await.unwrap(), std::slice::from_ref(&expected));
    let scope = |role, only: Option<&str>| TokenScope { role, project: only.map(project), has_server_role: false };
    for (scope, rights) in [
        (scope(ProjectRole::Owner, None), vec![ShareRight::Edit]),
        (scope(ProjectRole::Viewer, Some("web")), vec![ShareRight::View]),
        (scope(ProjectRole::Owner, Some("default")), vec![]),
    ] {
        let token = all.token(&ben, scope.clone()).await;
        let who = all.service.by_token(token.expose(), None).await.unwrap().unwrap();
        let received = all.service.received_shares(&who).await.unwrap();
        assert_eq!(received.iter().map(|one| one.right).collect::<Vec<_>>(), rights, "{scope:?}");
        assert_eq!(who.grants.has_shares(), !rights.is_empty());
    }
}
