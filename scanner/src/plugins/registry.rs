//! The list of all plugins.

use super::cookies::CookieFlags;
use super::cors::CorsPolicy;
use super::dns_posture::DnsPosture;
use super::exposed_files::ExposedFiles;
use super::scripts::ScriptIntegrity;
use super::security_headers::HttpHeaders;
use super::technology::TechnologyHints;
use super::tls::TlsCertificate;
use crate::plugin::Plugin;

/// Returns all plugins in running order.
#[must_use]
pub fn all() -> Vec<&'static dyn Plugin> {
    let mut list: Vec<&'static dyn Plugin> = vec![
        &DnsPosture,
        &HttpHeaders,
        &CookieFlags,
        &ScriptIntegrity,
        &TechnologyHints,
        &TlsCertificate,
        &CorsPolicy,
        &ExposedFiles,
    ];
    list.sort_by_key(|plugin| plugin.meta().priority);
    list
}

/// Finds a plugin by its name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Plugin> {
    all().into_iter().find(|plugin| plugin.meta().name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of KAST's own plugins. This scanner must not use them.
    const KAST_NAMES: [&str; 13] = [
        "org_discovery",
        "mozilla_observatory",
        "subfinder",
        "wafw00f",
        "script_detection",
        "whatweb",
        "cors_analyzer",
        "related_sites",
        "testssl",
        "ftap",
        "katana",
        "ai_surface_detection",
        "zap",
    ];

    #[test]
    fn plugin_names_are_unique_and_not_kasts() {
        let names: Vec<_> = all().iter().map(|plugin| plugin.meta().name).collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!KAST_NAMES.contains(name), "{name} is a plugin of KAST");
            assert!(!names[at + 1..].contains(name), "{name} is there twice");
            assert!(find(name).is_some());
        }
        assert_eq!(names.len(), 8);
    }
}
