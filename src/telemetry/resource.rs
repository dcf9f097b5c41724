//! The OpenTelemetry resource: the attributes that identify this process.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};

use crate::config::Role;

/// Builds the resource from Kastrel's attributes. `OTEL_RESOURCE_ATTRIBUTES` and
/// `OTEL_SERVICE_NAME` override them.
pub(super) fn resource(role: Role, service_name: Option<&str>) -> Resource {
    let own = [
        KeyValue::new("service.name", "kastrel"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
        KeyValue::new("host.name", rustix::system::uname().nodename().to_string_lossy().into_owned()),
        KeyValue::new("process.pid", i64::from(std::process::id())),
        KeyValue::new("kastrel.role", word(role)),
    ];
    let builder = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(own)
        .with_detector(Box::new(EnvResourceDetector::new()));
    match service_name.filter(|name| !name.trim().is_empty()) {
        Some(name) => builder.with_service_name(name.to_owned()).build(),
        None => builder.build(),
    }
}

const fn word(role: Role) -> &'static str {
    match role {
        Role::Serve => "serve",
        Role::Web => "web",
        Role::Worker => "worker",
        Role::OneShot => "scan",
        Role::Offline => "command",
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::Key;

    use super::*;

    #[test]
    fn the_service_name_can_be_overridden() {
        let name = |given| resource(Role::Worker, given).get(&Key::new("service.name")).unwrap().to_string();
        assert_eq!(
            (name(None), name(Some("scanners")), name(Some(" "))),
            ("kastrel".into(), "scanners".into(), "kastrel".into())
        );
        assert_eq!(resource(Role::Worker, None).get(&Key::new("kastrel.role")).unwrap().to_string(), "worker");
    }
}
