//! The dashboard as people meet it: a real browser in front of the real program.

mod accessibility;
mod base_path;
mod first_page;
mod hostile;
mod list;
mod live;
mod look;
mod new_scan;
mod proxy;
mod scan;
mod screenshots;
mod seed;
mod stage;
mod times;
mod truth;
mod without_script;
