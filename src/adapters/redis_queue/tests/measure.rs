//! Measures how fast a waiting reader receives a signal. The duration is printed; the assertion
//! holds on any machine.

use tokio::time::Instant;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_reader_gets_a_signal_at_once() {
    let server = RedisServer::start().await;
    let (web, worker) = (connect(&server, "web").await, connect(&server, "worker").await);
    let mut waits = Vec::new();
    for id in 0..200 {
        let caller = waiting(&server, &worker).await;
        let began = Instant::now();
        send(&*web.queue, signal(id, Priority::Normal, 0)).await.unwrap();
        let signalled = began.elapsed();
        let delivery = tokio::time::timeout(PATIENCE, caller).await.unwrap().unwrap();
        waits.push((began.elapsed(), signalled));
        worker.queue.acknowledge(&delivery.receipt).await.unwrap();
    }
    waits.sort_unstable();
    let (median, worst) = (waits[waits.len() / 2].0, waits[waits.len() - 1].0);
    println!("from the call of signal to the delivery: median {median:?}, worst {worst:?} of {}", waits.len());
    assert!(median < Duration::from_millis(250), "{median:?}");
    nothing_is_left(&server).await;
}
