//! Several processes of the real program that share a real Redis, a real database server and one
//! folder of results.

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
