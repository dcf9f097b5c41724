//! The checks of a draft beyond those of the scan service: whether the scanner has the plugins and
//! the settings that the draft names.

use kastrel_actors::model::{FieldError, ScanRequestDraft};
use kastrel_actors::service::{ScanService, SubmitError};

use crate::ports::ScannerCatalog;

/// Returns every error of a draft; empty if a submission accepts the draft. While the scanner's
/// catalogue is unknown, plugins and settings are not checked.
pub(crate) fn problems(
    service: &ScanService,
    draft: &ScanRequestDraft,
    catalogue: Option<&ScannerCatalog>,
) -> Vec<FieldError> {
    let request = match service.check(draft) {
        Ok(request) => request,
        Err(SubmitError::Invalid(errors)) => return errors,
        Err(other) => return vec![FieldError::new("target", other.to_string())],
    };
    let Some(catalogue) = catalogue else { return Vec::new() };
    let unknown = request.plugins.iter().filter(|name| !catalogue.plugins.iter().any(|plugin| plugin.name == **name));
    let mut errors: Vec<FieldError> =
        unknown.map(|name| FieldError::new("plugins", format!("the scanner has no plugin `{name}`"))).collect();
    errors.extend(catalogue.settings.iter().flat_map(|settings| settings.check(&request.overrides)));
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::testing::{TestApp, catalogue};

    #[tokio::test]
    async fn catalogue_checks_run_only_once_the_scanner_is_known() {
        let app = TestApp::new();
        let draft = ScanRequestDraft {
            target: "example.com".into(),
            plugins: vec!["whatweb".into(), "nmap".into()],
            overrides: vec!["whatweb.timeout=61".into(), "whatweb.timeout=60".into(), "nmap.x=1".into()],
            ..ScanRequestDraft::default()
        };
        assert_eq!(problems(&app.service, &draft, None), []);
        let wrong: Vec<String> =
            problems(&app.service, &draft, Some(&catalogue())).iter().map(ToString::to_string).collect();
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(
            wrong[0].starts_with("plugins: ") && wrong[1].contains("`whatweb.timeout`") && wrong[2].contains("`nmap`"),
            "{wrong:?}"
        );
    }
}
