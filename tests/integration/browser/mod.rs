//! Tests of the dashboard with a real browser and the real program.

mod access;
mod accessibility;
mod accounts;
mod base_path;
mod device_login;
mod findings;
mod first_page;
mod hostile;
mod list;
mod live;
mod look;
mod new_scan;
mod oidc;
mod passkeys;
mod proxy;
mod scan;
mod screenshots;
mod seed;
mod stage;
mod times;
mod truth;
mod without_script;
