//! Tests of several real processes that share a real Redis, a real database server and one results
//! folder.

mod harness;
mod member;

mod artifacts;
mod chaos;
mod deaths;
mod live;
mod orders;
mod outages;
mod starts;
mod throughput;
