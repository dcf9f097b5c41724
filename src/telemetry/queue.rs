//! Observes the queue: writes a span for each published signal and for each processed delivery. The
//! signal carries the context of the first span to the second.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::model::Priority;
use kastrel_actors::ports::{Delivery, JobQueue, JobSignal, QueueError, Receipt};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;

use super::catalog::{attribute, span};
use super::observer::Observer;

/// The implementation of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueSystem {
    /// The queue within this process.
    Local,
    /// The queue in Redis.
    Redis,
}

impl QueueSystem {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "kastrel",
            Self::Redis => "redis",
        }
    }
}

/// The observed queue; see the module docs.
pub(crate) struct ObservedQueue {
    inner: Arc<dyn JobQueue>,
    system: QueueSystem,
    observer: Observer,
}

fn kind(_: &QueueError) -> &'static str {
    "unavailable"
}

impl ObservedQueue {
    pub(crate) const fn new(inner: Arc<dyn JobQueue>, system: QueueSystem, observer: Observer) -> Self {
        Self { inner, system, observer }
    }

    /// Measures a call to Redis. Calls to the local queue are not measured.
    async fn timed<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        match self.system {
            QueueSystem::Local => call.await,
            QueueSystem::Redis => self.observer.timed(self.system.as_str(), operation, call, kind).await,
        }
    }

    fn attributes(&self, signal: &JobSignal, operation: &'static str, operation_type: &'static str) -> Vec<KeyValue> {
        let destination = match signal.priority {
            Priority::High => "scans.high",
            Priority::Normal => "scans.normal",
            Priority::Low => "scans.low",
        };
        vec![
            KeyValue::new(attribute::SCAN_ID, i64::try_from(signal.id.0).unwrap_or(i64::MAX)),
            KeyValue::new(attribute::MESSAGING_SYSTEM, self.system.as_str()),
            KeyValue::new(attribute::MESSAGING_OPERATION, operation),
            KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, operation_type),
            KeyValue::new(attribute::MESSAGING_DESTINATION, destination),
        ]
    }
}

#[async_trait]
impl JobQueue for ObservedQueue {
    async fn signal(&self, mut signal: JobSignal, wait: Duration) -> Result<(), QueueError> {
        let attributes = self.attributes(&signal, "publish", "send");
        let mut open = self.observer.spans.open(
            span::QUEUE_PUBLISH,
            SpanKind::Producer,
            signal.trace,
            self.observer.clock.now(),
            attributes,
        );
        if let Some(open) = &open {
            signal.trace = open.context;
        }
        let answer = self.timed("signal", self.inner.signal(signal, wait)).await;
        if let (Some(open), Err(error)) = (&mut open, &answer) {
            open.fail(kind(error));
        }
        if let Some(open) = open {
            open.end(self.observer.clock.now());
        }
        answer
    }

    /// Has no span, because it repeats for each queued scan without new information.
    async fn remind(&self, signal: JobSignal, wait: Duration) -> Result<(), QueueError> {
        self.timed("remind", self.inner.remind(signal, wait)).await
    }

    async fn next(&self) -> Result<Delivery, QueueError> {
        // Not measured, because it waits for work.
        let mut delivery = self.inner.next().await?;
        let mut attributes = self.attributes(&delivery.signal, "process", "process");
        attributes.push(KeyValue::new(attribute::MESSAGING_MESSAGE_ID, delivery.receipt.0.clone()));
        let open = self.observer.spans.open(
            span::QUEUE_PROCESS,
            SpanKind::Consumer,
            delivery.signal.trace,
            self.observer.clock.now(),
            attributes,
        );
        if let Some(open) = &open {
            delivery.signal.trace = open.context;
        }
        self.observer.take_in_hand(delivery.receipt.clone(), &delivery.signal, open);
        Ok(delivery)
    }

    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let answer = self.timed("acknowledge", self.inner.acknowledge(receipt)).await;
        self.observer.put_down(receipt, "acknowledged", answer.as_ref().err().map(kind));
        answer
    }

    async fn release(&self, receipt: &Receipt, wait: Duration) -> Result<(), QueueError> {
        let answer = self.timed("release", self.inner.release(receipt, wait)).await;
        self.observer.put_down(receipt, "released", answer.as_ref().err().map(kind));
        answer
    }

    async fn depth(&self) -> Result<usize, QueueError> {
        self.timed("depth", self.inner.depth()).await
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::ScanId;
    use kastrel_actors::ports::Clock;
    use kastrel_actors::testing::{PausedClock, fixtures};
    use opentelemetry::trace::Status;

    use super::super::Telemetry;
    use super::*;

    /// A queue that delivers, and fails on acknowledgements.
    struct Deaf;

    #[async_trait]
    impl JobQueue for Deaf {
        async fn signal(&self, _: JobSignal, _: Duration) -> Result<(), QueueError> {
            Ok(())
        }

        async fn remind(&self, _: JobSignal, _: Duration) -> Result<(), QueueError> {
            Ok(())
        }

        async fn next(&self) -> Result<Delivery, QueueError> {
            let signal = JobSignal {
                id: ScanId(1),
                priority: Priority::Normal,
                due: jiff::Timestamp::UNIX_EPOCH,
                trace: fixtures::trace(),
            };
            Ok(Delivery { signal, receipt: Receipt("1-0".into()) })
        }

        async fn acknowledge(&self, _: &Receipt) -> Result<(), QueueError> {
            Err(QueueError("down".into()))
        }

        async fn release(&self, _: &Receipt, _: Duration) -> Result<(), QueueError> {
            Err(QueueError("down".into()))
        }

        async fn depth(&self) -> Result<usize, QueueError> {
            Ok(0)
        }

        fn trouble(&self) -> Option<String> {
            Some("deaf".into())
        }
    }

    #[tokio::test]
    async fn a_failed_acknowledgement_is_recorded_as_unanswered() {
        let (telemetry, exporter) = Telemetry::in_memory();
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::default());
        let queue = ObservedQueue::new(Arc::new(Deaf), QueueSystem::Redis, Observer::new(&telemetry, clock));
        assert_eq!(queue.trouble().as_deref(), Some("deaf"), "an observer hides nothing");
        let delivery = queue.next().await.unwrap();
        assert!(queue.acknowledge(&delivery.receipt).await.is_err());
        let delivery = queue.next().await.unwrap();
        assert!(queue.release(&delivery.receipt, Duration::ZERO).await.is_err());
        let spans = exporter.get_finished_spans().unwrap();
        assert_eq!(spans.len(), 2);
        for span in spans {
            let result = span.attributes.iter().find(|pair| pair.key.as_str() == attribute::QUEUE_RESULT).unwrap();
            assert_eq!(result.value.as_str(), "unanswered");
            assert!(matches!(span.status, Status::Error { .. }), "{span:?}");
        }
    }
}
