//! What the audit log gets of the visitors of public links. Everybody with a link can open it, and
//! download its files, as often as they like, and each entry stays. So each link and network has
//! one entry of each kind a minute.

use std::net::IpAddr;

use kastrel_actors::model::DomainEvent;
use kastrel_actors::ports::StoreError;
use tokio::time::Instant;

use super::{AccessService, LinkVisit};

impl AccessService {
    /// Counts that a visitor opened the scan of a link, and records it, once a minute for each link
    /// and network. Returns `false` if the link is not valid any more.
    ///
    /// # Errors
    /// The store failed to write the entry. The scan must not be shown then.
    pub async fn record_visit(&self, visit: &LinkVisit, address: IpAddr) -> Result<bool, StoreError> {
        let (key, now) = (visit.link.key, Instant::now().into_std());
        let is_due = || self.openings.is_due(key, address, now);
        // Parallel openings wait for the entry of the first one. Otherwise each would be recorded.
        let turn = if is_due() { Some(self.records_visit.lock().await).filter(|_| is_due()) } else { None };
        let recorded = turn.as_ref().map(|_| address.to_string());
        let is_open = self.public_links.open_public_link(&visit.link, self.clock.now(), recorded.as_deref()).await?;
        if is_open && recorded.is_some() {
            self.openings.recorded(key, address, now);
        }
        Ok(is_open)
    }

    /// Records that a visitor of a link downloads files, once a minute for each link and network,
    /// before anything is handed out.
    ///
    /// # Errors
    /// The store failed to write the entry. The download must be refused then.
    pub async fn record_link_download(&self, visit: &LinkVisit, address: IpAddr) -> Result<(), StoreError> {
        let (key, now) = (visit.link.key, Instant::now().into_std());
        let is_due = || self.link_downloads.is_due(key, address, now);
        let turn = if is_due() { Some(self.records_visit.lock().await).filter(|_| is_due()) } else { None };
        if turn.is_some() {
            self.record_download(&visit.context, DomainEvent::FilesDownloaded, Some(visit.link.scan)).await?;
            self.link_downloads.recorded(key, address, now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use kastrel_actors::model::{CancelledBy, Command, Principal, ProjectRole};
    use kastrel_actors::ports::store::prelude::*;
    use kastrel_actors::testing::fixtures;
    use tokio::time::{advance, sleep};

    use super::super::testing::Fixture;
    use super::super::{LinkAccess, PublicLinkRequest};
    use super::*;

    /// A visitor of a link, whose scan has ended.
    async fn visitor(all: &Fixture) -> LinkVisit {
        let ana = all.user("ana", &[("default", ProjectRole::Operator)]).await;
        let scan = all.store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        let cancel = Command::Cancel { by: CancelledBy::User, principal: Principal::System };
        all.store.apply(scan, cancel).await.unwrap();
        let context = all.context(&ana).await;
        let (secret, _) = all.service.create_public_link(&context, scan, PublicLinkRequest::default()).await.unwrap();
        match all.service.visit(&secret, None, fixtures::context().trace).await.unwrap() {
            Some(LinkAccess::Open(visit)) => *visit,
            other => panic!("{other:?}"),
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn parallel_openings_from_one_network_have_one_entry() {
        let all = Fixture::new();
        let (visit, network) = (visitor(&all).await, address("192.0.2.1"));
        let entries = all.audit().await.len();
        all.calls.run_before("open_public_link", sleep(Duration::from_secs(1)));
        let opened = join_all((0..20).map(|_| all.service.record_visit(&visit, network))).await;
        assert!(opened.iter().all(|is_open| *is_open.as_ref().unwrap()));
        assert_eq!(all.audit().await.len(), entries + 1);
        let link = all.store.public_links(visit.link.scan).await.unwrap().pop().unwrap();
        assert_eq!(link.opened, 20, "all are counted");
    }

    #[tokio::test(start_paused = true)]
    async fn downloads_with_a_link_have_one_entry_a_minute_for_each_network() {
        let all = Fixture::new();
        let visit = visitor(&all).await;
        let entries = all.audit().await.len();
        all.calls.run_before("audit_record", sleep(Duration::from_secs(1)));
        let at_once = (0..20).map(|_| all.service.record_link_download(&visit, address("192.0.2.1")));
        assert!(join_all(at_once).await.iter().all(Result::is_ok));
        let by_link = (Principal::Link(visit.link.id.clone()), DomainEvent::FilesDownloaded);
        assert_eq!(all.audit().await[entries..], *std::slice::from_ref(&by_link));
        for (seconds, from, count) in [(0, "192.0.2.9", 1), (0, "198.51.100.1", 2), (60, "192.0.2.1", 3)] {
            advance(Duration::from_secs(seconds)).await;
            all.service.record_link_download(&visit, address(from)).await.unwrap();
            assert_eq!(all.audit().await[entries..], vec![by_link.clone(); count], "{from}");
        }
    }
}
