//! Sign-in with the identity provider, on a store in memory.

use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{
    AccountChange, AccountKind, AccountName, DeviceDecision, DomainEvent, LinkResult, NewAccount, Principal,
    ProjectRole, ServerRole,
};
use kastrel_actors::policy::second_factor::FactorRule;
use kastrel_actors::ports::{AccessStore as _, Clock as _, ProviderIdentityStore as _};
use serde_json::json;
use tokio::time::advance;

use super::scripted_provider::{END, ISSUER, ScriptedProvider, identity, settings, state_of};
use super::testing::{Fixture, PASSWORD, attempt, fields, project};
use super::*;
use crate::ports::ProviderError;

const ADDRESS: &str = "192.0.2.1";

struct World {
    all: Fixture,
    provider: Arc<ScriptedProvider>,
}

type Finished = Result<(NewSession, String), ProviderSignInError>;

impl World {
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: ProviderSettings) -> Self {
        let (mut all, provider) = (Fixture::new(), ScriptedProvider::new());
        all.service = all.service.with_provider(Arc::<ScriptedProvider>::clone(&provider), settings);
        Self { all, provider }
    }

    fn with_rules(rules: &[&str]) -> Self {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        Self::with(ProviderSettings { rules, ..settings() })
    }

    async fn start(&self) -> ProviderStart {
        self.all.service.start_provider_sign_in("/scans", ADDRESS.parse().unwrap()).await.unwrap()
    }

    async fn finish(&self, callback: ProviderCallback) -> Finished {
        self.all.service.finish_provider_sign_in(callback).await
    }

    async fn sign_in(&self) -> Finished {
        let started = self.start().await;
        self.finish(callback(&started)).await
    }

    /// Signs in a person with these groups.
    async fn with_groups(&self, groups: &[&str]) -> AccountName {
        self.provider.says("7", json!({ "preferred_username": "ana", "groups": groups }));
        self.sign_in().await.unwrap().0.account
    }

    async fn last_event(&self) -> (Principal, DomainEvent) {
        self.all.audit().await.pop().unwrap()
    }
}

fn callback(started: &ProviderStart) -> ProviderCallback {
    ProviderCallback {
        secret: Some(started.secret.clone()),
        state: state_of(&started.url),
        code: Some("code".into()),
        error: None,
        issuer: None,
        address: ADDRESS.parse().unwrap(),
        agent: "Browser".into(),
    }
}

fn ana() -> AccountName {
    "ana".parse().unwrap()
}

fn refusal(finished: Finished) -> ProviderRefusal {
    match finished {
        Err(ProviderSignInError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn is_gone(finished: &Finished) -> bool {
    matches!(finished, Err(ProviderSignInError::Gone))
}

#[tokio::test(start_paused = true)]
async fn first_sign_in_creates_the_account_and_the_next_one_finds_it() {
    let world = World::new();
    let (session, next) = world.sign_in().await.unwrap();
    assert_eq!((session.account.clone(), next.as_str()), (ana(), "/scans"));
    let who = world.all.service.by_session(&session.secret).await.unwrap().unwrap();
    assert_eq!(who.account, ana());
    let account = world.all.read(&ana()).await;
    assert_eq!((account.kind, account.has_password, account.server_role), (AccountKind::User, false, None));
    assert!(account.memberships.is_empty());
    assert_eq!(world.all.store.account_of_identity(&identity("7")).await.unwrap(), Some(ana()));
    let actions: Vec<_> = world.all.audit().await.iter().map(|(by, event)| (by.to_string(), event.action())).collect();
    assert_eq!(
        actions,
        [
            ("system".to_owned(), "account_created"),
            ("system".to_owned(), "identity_linked"),
            ("user:ana".to_owned(), "signed_in_with_provider")
        ]
    );
    world.provider.says("7", json!({ "preferred_username": "renamed" }));
    let (again, _) = world.sign_in().await.unwrap();
    assert_eq!(again.account, ana(), "the identity decides, not the name");
    assert_ne!(again.secret.expose(), session.secret.expose());
    assert_eq!(world.all.store.accounts().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_sign_in_has_secrets_of_its_own_that_the_browser_cannot_read_from_the_address() {
    let world = World::new();
    let (one, two) = (world.start().await, world.start().await);
    assert_ne!(one.url, two.url);
    world.finish(callback(&one)).await.unwrap();
    world.finish(callback(&two)).await.unwrap();
    let [[_, nonce, verifier], [_, other_nonce, other_verifier]] = &world.provider.redeemed()[..] else { panic!() };
    let all = [nonce, verifier, other_nonce, other_verifier, &state_of(&one.url), &state_of(&two.url)];
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
    for text in all {
        assert_eq!(text.len(), 64);
        assert_ne!(text.as_str(), one.secret.expose());
    }
    assert!(!one.url.contains(verifier.as_str()));
}

#[tokio::test(start_paused = true)]
async fn sign_in_is_finished_once() {
    let world = World::new();
    let started = world.start().await;
    world.finish(callback(&started)).await.unwrap();
    assert!(is_gone(&world.finish(callback(&started)).await));
    assert_eq!((world.provider.redeemed().len(), world.all.store.sessions(&ana()).await.unwrap().len()), (1, 1));
    let started = world.start().await;
    let (one, two) = tokio::join!(world.finish(callback(&started)), world.finish(callback(&started)));
    assert_eq!([&one, &two].into_iter().filter(|finished| is_gone(finished)).count(), 1, "{one:?} {two:?}");
}

#[tokio::test(start_paused = true)]
async fn sign_in_needs_the_browser_that_began_it_and_the_state_of_it() {
    let world = World::new();
    let (own, foreign) = (world.start().await, world.start().await);
    for wrong in [
        ProviderCallback { secret: None, ..callback(&own) },
        ProviderCallback { state: String::new(), ..callback(&own) },
        ProviderCallback { state: state_of(&foreign.url), ..callback(&own) },
        ProviderCallback { secret: Some(foreign.secret.clone()), ..callback(&own) },
    ] {
        assert!(is_gone(&world.finish(wrong).await));
    }
    assert!(world.provider.redeemed().is_empty());
    world.finish(callback(&own)).await.unwrap();
    world.finish(callback(&foreign)).await.expect("a wrong state ends no sign-in");
}

#[tokio::test(start_paused = true)]
async fn sign_in_waits_for_10_minutes() {
    let world = World::new();
    let (one, other) = (world.start().await, world.start().await);
    assert_eq!(one.max_age, Duration::from_mins(10));
    advance(Duration::from_mins(10) - Duration::from_millis(1)).await;
    world.finish(callback(&one)).await.unwrap();
    advance(Duration::from_millis(1)).await;
    assert!(is_gone(&world.finish(callback(&other)).await));
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_refuses_starts_no_session_and_is_recorded() {
    let world = World::new();
    type Change = fn(&mut ProviderCallback);
    let cases: [(Change, ProviderRefusal); 5] = [
        (|sent| sent.error = Some("access_denied".into()), ProviderRefusal::Cancelled),
        (|sent| sent.error = Some("<script>".into()), ProviderRefusal::Reported),
        (|sent| sent.issuer = Some("https://other.example".into()), ProviderRefusal::Invalid),
        (|sent| sent.code = None, ProviderRefusal::Invalid),
        (|sent| sent.code = Some(String::new()), ProviderRefusal::Invalid),
    ];
    for (change, expected) in cases {
        let started = world.start().await;
        let mut sent = callback(&started);
        change(&mut sent);
        assert_eq!(refusal(world.finish(sent).await), expected);
        let reason = expected.to_string();
        let failed = DomainEvent::ProviderSignInFailed { account: None, reason, address: ADDRESS.into() };
        assert_eq!(world.last_event().await, (Principal::Anonymous, failed));
        assert!(is_gone(&world.finish(callback(&started)).await), "it has ended");
    }
    assert!(world.provider.redeemed().is_empty());
    world.provider.fails(ProviderError::Invalid("nonce".into()));
    assert_eq!(refusal(world.sign_in().await), ProviderRefusal::Invalid);
    assert!(world.all.store.accounts().await.unwrap().is_empty());
    let started = world.start().await;
    world.provider.says("7", json!({ "preferred_username": "ana" }));
    let with_issuer = ProviderCallback { issuer: Some(ISSUER.into()), ..callback(&started) };
    world.finish(with_issuer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn provider_that_does_not_respond_is_told_from_a_refusal() {
    let world = World::new();
    let started = world.start().await;
    world.provider.goes_down();
    let entries = world.all.audit().await.len();
    assert!(matches!(world.finish(callback(&started)).await, Err(ProviderSignInError::NoResponse)));
    let begun = world.all.service.start_provider_sign_in("/", ADDRESS.parse().unwrap()).await;
    assert!(matches!(begun, Err(ProviderSignInError::NoResponse)), "{begun:?}");
    assert_eq!(world.all.audit().await.len(), entries, "nobody was refused");
}

#[tokio::test(start_paused = true)]
async fn account_that_exists_is_never_attached_by_its_name() {
    let world = World::new();
    let name = world.all.user_with_password("ana").await;
    assert_eq!(refusal(world.sign_in().await), ProviderRefusal::NameTaken(name.clone()));
    assert_eq!(world.all.store.identity_of(&name).await.unwrap(), None);
    assert!(world.all.store.sessions(&name).await.unwrap().is_empty());
    let admin = world.all.context_of("root", ServerRole::Admin).await;
    let linked = world.all.service.link_identity(&admin, &name, None, "7").await.unwrap().unwrap();
    assert_eq!(linked.identity, identity("7"));
    assert_eq!(world.sign_in().await.unwrap().0.account, name);
    assert!(world.all.read(&name).await.has_password, "the password stays");
}

#[tokio::test(start_paused = true)]
async fn person_without_a_usable_name_or_where_no_account_is_created_is_refused() {
    let world = World::new();
    world.provider.says("7", json!({ "preferred_username": "\u{65e5}" }));
    assert_eq!(refusal(world.sign_in().await), ProviderRefusal::NoName);
    let closed = World::with(ProviderSettings { creates_accounts: false, ..settings() });
    assert_eq!(refusal(closed.sign_in().await), ProviderRefusal::NoAccount);
    assert!(closed.all.store.accounts().await.unwrap().is_empty());
    let name = closed.all.user("ben", &[]).await;
    let at = closed.all.clock.now();
    let linked = closed.all.store.link_identity(&name, &identity("7"), at, &Principal::System).await.unwrap();
    assert_eq!(linked, LinkResult::Linked);
    assert_eq!(closed.sign_in().await.unwrap().0.account, name);
}

#[tokio::test(start_paused = true)]
async fn disabled_account_gets_no_session_also_if_it_is_disabled_meanwhile() {
    let world = World::new();
    world.sign_in().await.unwrap();
    let disable = AccountChange::Disable;
    world.all.store.change_account(&ana(), disable, &Principal::System).await.unwrap();
    assert_eq!(refusal(world.sign_in().await), ProviderRefusal::Disabled);
    world.all.store.change_account(&ana(), AccountChange::Enable, &Principal::System).await.unwrap();
    let store = Arc::clone(&world.all.store);
    world.all.calls.run_before("create_session", async move {
        store.change_account(&ana(), disable, &Principal::System).await.unwrap();
    });
    assert_eq!(refusal(world.sign_in().await), ProviderRefusal::Disabled);
    assert!(world.all.store.sessions(&ana()).await.unwrap().is_empty(), "it would begin when it is enabled");
}

#[tokio::test(start_paused = true)]
async fn identity_that_is_unlinked_meanwhile_starts_no_session() {
    let world = World::new();
    world.sign_in().await.unwrap();
    let store = Arc::clone(&world.all.store);
    world.all.calls.run_before("create_session", async move {
        assert!(store.unlink_identity(&ana(), &Principal::System).await.unwrap());
    });
    refusal(world.sign_in().await);
    assert!(world.all.store.sessions(&ana()).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn name_that_was_taken_during_the_sign_in_is_refused() {
    let world = World::new();
    let store = Arc::clone(&world.all.store);
    world.all.calls.run_before("create_with_identity", async move {
        let new = NewAccount {
            name: ana(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: std::collections::BTreeMap::new(),
        };
        store.create_account(new, jiff::Timestamp::UNIX_EPOCH, &Principal::System).await.unwrap();
    });
    assert_eq!(refusal(world.sign_in().await), ProviderRefusal::NameTaken(ana()));
}

#[tokio::test(start_paused = true)]
async fn roles_follow_the_groups_at_each_sign_in_and_others_stay() {
    let world = World::with_rules(&["boss=admin", "audit=auditor", "sec=web:operator", "sec=missing:viewer"]);
    world.all.project("web").await;
    world.all.project("own").await;
    world.all.context_of("root", ServerRole::Admin).await;
    let name = world.with_groups(&["audit", "sec", "other"]).await;
    let by = Principal::System;
    world.all.store.set_member(&project("own"), &name, Some(ProjectRole::Owner), &by).await.unwrap();
    let roles = async |world: &World| {
        let account = world.all.read(&ana()).await;
        let of = |id: &str| account.memberships.get(&project(id)).copied();
        (account.server_role, of("web"), of("own"))
    };
    let own = Some(ProjectRole::Owner);
    assert_eq!(roles(&world).await, (Some(ServerRole::Auditor), Some(ProjectRole::Operator), own));
    let entries = world.all.audit().await.len();
    world.with_groups(&["audit", "sec"]).await;
    assert_eq!(world.all.audit().await.len(), entries + 1, "only the sign-in is recorded");
    world.with_groups(&["boss"]).await;
    assert_eq!(roles(&world).await, (Some(ServerRole::Admin), None, own));
    for claims in [json!({}), json!({ "groups": 7 }), json!({ "_claim_names": { "groups": "src1" } })] {
        world.with_groups(&["audit", "sec"]).await;
        world.provider.says("7", claims);
        world.sign_in().await.unwrap();
        assert_eq!(roles(&world).await, (None, None, own), "without groups there is no role of groups");
    }
}

#[tokio::test(start_paused = true)]
async fn change_of_the_server_role_ends_the_earlier_sessions() {
    let world = World::with_rules(&["audit=auditor"]);
    world.provider.says("7", json!({ "preferred_username": "ana", "groups": ["audit"] }));
    let (earlier, _) = world.sign_in().await.unwrap();
    assert!(world.all.service.by_session(&earlier.secret).await.unwrap().is_some());
    world.provider.says("7", json!({ "preferred_username": "ana", "groups": [] }));
    let (session, _) = world.sign_in().await.unwrap();
    assert_eq!(world.all.service.by_session(&earlier.secret).await.unwrap(), None);
    let who = world.all.service.by_session(&session.secret).await.unwrap().unwrap();
    assert_eq!(who.grants.server_role(), None);
}

#[tokio::test(start_paused = true)]
async fn last_administrator_stays_one_and_signs_in() {
    let world = World::with_rules(&["boss=admin"]);
    world.with_groups(&["boss"]).await;
    world.with_groups(&[]).await;
    assert_eq!(world.all.read(&ana()).await.server_role, Some(ServerRole::Admin));
    world.all.context_of("root", ServerRole::Admin).await;
    world.with_groups(&[]).await;
    assert_eq!(world.all.read(&ana()).await.server_role, None);
}

#[tokio::test(start_paused = true)]
async fn roles_stay_without_rules() {
    let world = World::new();
    world.sign_in().await.unwrap();
    let auditor = AccountChange::SetServerRole(Some(ServerRole::Auditor));
    world.all.store.change_account(&ana(), auditor, &Principal::System).await.unwrap();
    world.with_groups(&["boss"]).await;
    assert_eq!(world.all.read(&ana()).await.server_role, Some(ServerRole::Auditor));
}

#[tokio::test(start_paused = true)]
async fn one_network_begins_60_sign_ins_in_10_minutes_unless_they_succeed() {
    let world = World::new();
    for _ in 0..100 {
        world.sign_in().await.unwrap();
    }
    for _ in 0..60 {
        world.start().await;
    }
    let start = async |address: &str| world.all.service.start_provider_sign_in("/", address.parse().unwrap()).await;
    let refused = start(ADDRESS).await;
    assert!(matches!(refused, Err(ProviderSignInError::Throttled { .. })), "{refused:?}");
    start("198.51.100.1").await.expect("another network");
    world.all.user_with_password("ben").await;
    world.all.sign_in("ben", PASSWORD).await.expect("the password has a throttle of its own");
    advance(Duration::from_mins(10)).await;
    start(ADDRESS).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn passwords_are_refused_where_only_the_provider_signs_in() {
    let world = World::with(ProviderSettings { allows_passwords: false, ..settings() });
    world.all.user_with_password("ben").await;
    for text in ["ben", "nobody"] {
        let refused = world.all.service.sign_in(attempt(text, PASSWORD)).await;
        assert!(matches!(refused, Err(SignInError::NoPasswords)), "{refused:?}");
    }
    assert!(!world.all.service.needs_set_up().await.unwrap(), "its link would help nobody");
}

#[tokio::test(start_paused = true)]
async fn administrator_who_signs_in_with_the_provider_needs_no_set_up() {
    let world = World::with_rules(&["boss=admin"]);
    assert!(world.all.service.needs_set_up().await.unwrap());
    world.with_groups(&["boss"]).await;
    assert!(!world.all.service.needs_set_up().await.unwrap());
    world.all.store.unlink_identity(&ana(), &Principal::System).await.unwrap();
    assert!(world.all.service.needs_set_up().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn only_a_session_of_the_provider_is_ended_there() {
    let world = World::new();
    let (session, _) = world.sign_in().await.unwrap();
    let who = world.all.service.by_session(&session.secret).await.unwrap().unwrap();
    assert!(world.all.service.began_with_provider(&who).await.unwrap());
    assert_eq!(world.all.service.provider_sign_out_url().await.as_deref(), Some(END));
    let local = world.all.session(&ana()).await;
    let local = world.all.service.by_session(&local).await.unwrap().unwrap();
    assert!(!world.all.service.began_with_provider(&local).await.unwrap());
    let with_token = SignedIn { session: None, ..who.clone() };
    assert!(!world.all.service.began_with_provider(&with_token).await.unwrap());
    world.provider.goes_down();
    assert_eq!(world.all.service.provider_sign_out_url().await, None, "our session ends nevertheless");
}

#[tokio::test(start_paused = true)]
async fn second_factor_that_is_required_here_is_not_requested_after_the_provider() {
    let mut world = World::new();
    world.all.service.settings.second_factor = FactorRule::All;
    let (session, _) = world.sign_in().await.unwrap();
    let who = world.all.service.by_session(&session.secret).await.unwrap().unwrap();
    assert_eq!(who.account, ana());
    let address = ADDRESS.parse().unwrap();
    let request = DeviceRequest { label: "ana@laptop".into(), role: None, has_server_role: false, days: None, address };
    let new = world.all.service.start_device_login(request).await.unwrap();
    let typed = new.user_code.to_string();
    world.all.service.decide_device_login(&who, &typed, DeviceDecision::Allow, address).await.unwrap();
    let poll = world.all.service.poll_device_login(&new.device_code).await.unwrap();
    assert!(matches!(poll, DevicePoll::Token(..)), "the command line logs in, too");
    let local = world.all.session(&ana()).await;
    assert_eq!(world.all.service.by_session(&local).await.unwrap(), None, "the rule applies to other sign-ins");
    world.all.service.provider = None;
    advance(Duration::from_secs(1)).await;
    assert_eq!(world.all.service.by_session(&session.secret).await.unwrap(), None, "there is no provider any more");
}

#[tokio::test(start_paused = true)]
async fn identities_are_linked_by_administrators_and_seen_by_auditors_and_their_accounts() {
    let world = World::new();
    let (all, service) = (&world.all, &world.all.service);
    let admin = all.context_of("root", ServerRole::Admin).await;
    let auditor = all.context_of("eve", ServerRole::Auditor).await;
    let (name, other) = (all.user("ana", &[]).await, all.user("ben", &[]).await);
    let (own, foreign) = (all.context(&name).await, all.context(&other).await);
    service.link_identity(&admin, &name, None, "7").await.unwrap().unwrap();
    for context in [&admin, &auditor, &own] {
        assert_eq!(service.identity(context, &name).await.unwrap().unwrap().identity, identity("7"));
    }
    for denied in [
        service.identity(&foreign, &name).await.err(),
        service.link_identity(&own, &name, None, "8").await.err(),
        service.link_identity(&auditor, &name, None, "8").await.err(),
        service.unlink_identity(&own, &name).await.err(),
        service.unlink_identity(&auditor, &name).await.err(),
    ] {
        assert!(matches!(denied, Some(AccountError::Denied(_))), "{denied:?}");
    }
    let ci = all.account("ci", AccountKind::Service, None, &[]).await;
    let nobody = "nobody".parse().unwrap();
    assert_eq!(fields(service.link_identity(&admin, &other, None, "7").await), ["subject"]);
    assert_eq!(fields(service.link_identity(&admin, &other, None, "").await), ["subject"]);
    assert_eq!(fields(service.link_identity(&admin, &other, Some(""), "8").await), ["issuer"]);
    assert_eq!(fields(service.link_identity(&admin, &name, None, "8").await), ["name"]);
    assert_eq!(fields(service.link_identity(&admin, &ci, None, "8").await), ["name"]);
    assert_eq!(service.link_identity(&admin, &nobody, None, "8").await.unwrap(), None);
    let session = all.session(&name).await;
    assert!(service.by_session(&session).await.unwrap().is_some());
    assert!(service.unlink_identity(&admin, &name).await.unwrap());
    assert_eq!(service.by_session(&session).await.unwrap(), None, "at once");
    assert!(!service.unlink_identity(&admin, &name).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn server_without_a_provider_offers_none() {
    let all = Fixture::new();
    assert_eq!((all.service.provider_name(), all.service.allows_passwords()), (None, true));
    let begun = all.service.start_provider_sign_in("/", ADDRESS.parse().unwrap()).await;
    assert!(matches!(begun, Err(ProviderSignInError::Off)), "{begun:?}");
    let admin = all.context_of("root", ServerRole::Admin).await;
    let name = all.user("ana", &[]).await;
    assert_eq!(fields(all.service.link_identity(&admin, &name, None, "7").await), ["issuer"]);
    assert!(all.service.link_identity(&admin, &name, Some(ISSUER), "7").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn debug_output_of_a_callback_has_no_secret() {
    let world = World::new();
    let started = world.start().await;
    let shown = format!("{:?}", callback(&started));
    assert_eq!(shown, "ProviderCallback { address: 192.0.2.1, .. }");
}
