//! The check of the scanner and its plugins.

use kastrel_actors::model::{ScannerInfo, ScannerKind};

use crate::cli::doctor::model::{Check, Facts};
use crate::cli::text::count;
use crate::config::{Config, ScannerChoice};

pub(super) fn scanner(config: &Config, facts: &Facts) -> Check {
    const INSTALL: &str = "install KAST and put `kast` on the PATH, or set KAST_CLI_PATH";
    let list = match &facts.scanner {
        Ok(list) => list,
        Err(why) if config.kast.scanner == ScannerChoice::Builtin => {
            return Check::failure("scanner", why.clone(), "install Kastrel again");
        }
        Err(why) => return Check::failure("scanner", why.clone(), format!("{INSTALL}; or use --scanner builtin")),
    };
    let label = list.scanner.as_ref().map_or_else(|| "a scanner of unknown version".to_owned(), ScannerInfo::label);
    let missing: Vec<&str> =
        list.plugins.iter().filter(|plugin| !plugin.available).map(|plugin| plugin.name.as_str()).collect();
    let builtin = list.scanner.as_ref().is_some_and(|scanner| scanner.kind == ScannerKind::Builtin);
    if !missing.is_empty() {
        let message = format!("{label}; unavailable, because their tools are missing: {}", missing.join(", "));
        return Check::warning("scanner", message, "install the tools of these plugins, as KAST's installer does");
    }
    if builtin && config.kast.scanner == ScannerChoice::Auto {
        return Check::warning(
            "scanner",
            format!("{label}: KAST was not found, so scans are small and passive"),
            INSTALL,
        );
    }
    Check::ok(
        "scanner",
        format!("{label} with {}", count(u64::try_from(list.plugins.len()).unwrap_or(u64::MAX), "plugin")),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, good, list};
    use super::*;
    use crate::cli::doctor::model::Level;

    #[test]
    fn each_scanner_is_checked_against_the_configuration() {
        for (choice, scanner, level) in [
            ("auto", Ok(list(ScannerKind::Kast, true)), Level::Ok),
            ("auto", Ok(list(ScannerKind::Kast, false)), Level::Warning),
            ("auto", Ok(list(ScannerKind::Builtin, true)), Level::Warning),
            ("builtin", Ok(list(ScannerKind::Builtin, true)), Level::Ok),
            ("kast", Err("no kast".to_owned()), Level::Failure),
        ] {
            let facts = Facts { scanner, ..good() };
            assert_eq!(
                super::scanner(&config(&[("KASTREL_KAST__SCANNER", choice)]), &facts).level,
                level,
                "{choice} {:?}",
                facts.scanner
            );
        }
    }
}
