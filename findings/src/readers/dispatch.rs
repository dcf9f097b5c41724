//! Which reader reads which plugin.

use super::collect::Collector;
use super::file::File;
use super::reading::{ReaderInput, Reading, plugin_key};
use super::{
    ai_surface_detection, built_in, cors_analyzer, ftap, generic, katana, mozilla_observatory, org_discovery,
    related_sites, script_detection, subfinder, testssl, wafw00f, whatweb, zap,
};
use crate::place::Origin;

/// A reader takes over what it knows of the file.
type Reader = fn(&File, &mut Collector);

/// The readers of KAST's plugins and of the built-in scanner's plugins.
pub(super) const READERS: &[(&str, Reader)] = &[
    ("ai_surface_detection", ai_surface_detection::read),
    ("cookie_flags", built_in::read),
    ("cors_analyzer", cors_analyzer::read),
    ("cors_policy", built_in::read),
    ("dns_posture", built_in::read),
    ("exposed_files", built_in::read),
    ("ftap", ftap::read),
    ("http_headers", built_in::read),
    ("katana", katana::read),
    ("mozilla_observatory", mozilla_observatory::read),
    ("org_discovery", org_discovery::read),
    ("related_sites", related_sites::read),
    ("script_detection", script_detection::read),
    ("script_integrity", built_in::read),
    ("subfinder", subfinder::read),
    ("technology_hints", built_in::read),
    ("testssl", testssl::read),
    ("tls_certificate", built_in::read),
    ("wafw00f", wafw00f::read),
    ("whatweb", whatweb::read),
    ("zap", zap::read),
];

/// Reads the result of a plugin.
#[must_use]
pub fn read(input: &ReaderInput<'_>) -> Reading {
    let plugin = plugin_key(input.plugin);
    let reader =
        READERS.iter().find(|(name, _)| *name == plugin).map_or(generic::read as Reader, |(_, reader)| *reader);
    let mut collector = Collector::new(&plugin, Origin::of_target(input.target).ok());
    let file = File::parse(input, &mut collector.notes);
    if let Some(file) = &file {
        reader(file, &mut collector);
        collector.take_over_listed_issues(file);
    }
    collector.finish()
}
