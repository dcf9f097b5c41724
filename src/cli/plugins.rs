//! `kastrel plugins`: lists the scanner's plugins.

use kastrel_actors::model::PluginInfo;

use super::args::PluginsArgs;
use super::backend::{PluginList, ScanBackend as _};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::output::Style;
use super::table::{Column, cell, grid};
use super::text::{brief, plain};

/// Runs the command.
///
/// # Errors
/// Neither a server nor a scanner is available, or the scanner does not list its plugins.
pub(super) async fn run(args: &PluginsArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    let opener = context.opener();
    let list = match opener.server(&args.server, &config).await? {
        // If the user names a scanner, list the plugins of that one, and not those of the server's.
        Some(server) if !args.scanner.is_given() || args.server.server.is_some() => server.plugins().await?,
        _ => context.host.scanner(&config).await?,
    };
    if args.json {
        context.output.json(&list)?;
    } else {
        let text = text(&list, context.output.style);
        context.output.line(&text)?;
    }
    Ok(Exit::Done)
}

fn text(list: &PluginList, style: Style) -> String {
    let columns = [
        Column::text("Plugin", 0),
        Column::new("Kind", 1),
        Column::new("Installed", 0),
        Column::text("Needs", 3),
        Column::text("Description", 2),
    ];
    let row = |plugin: &PluginInfo| {
        vec![
            cell(&plugin.name),
            cell(plugin.kind.as_str()),
            cell(if plugin.available { "yes" } else { "no" }),
            cell(&plugin.dependencies.join(", ")),
            cell(&plain(&plugin.description)),
        ]
    };
    let plugins = grid(style, &columns, list.plugins.iter().map(row).collect());
    let scanner = list
        .scanner
        .as_ref()
        .map_or_else(|| "Scanner: unknown".into(), |scanner| format!("Scanner: {}", brief(&scanner.label(), 100)));
    format!("{scanner}\n\n{plugins}")
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{PluginInfo, PluginKind, ScannerInfo, ScannerKind};

    use super::*;

    #[test]
    fn a_name_of_any_length_fits_a_narrow_terminal() {
        for name in ["related_sites".to_owned(), "x".repeat(100), format!("my plugin {}", "näme ".repeat(18))] {
            let plugin = PluginInfo {
                name: name.clone(),
                display_name: name,
                description: "Finds sites".into(),
                kind: PluginKind::Passive,
                available: true,
                dependencies: vec!["subfinder".into()],
            };
            let list = PluginList { scanner: None, plugins: vec![plugin] };
            for width in [40, 60, 80] {
                let text = text(&list, Style { width: Some(width), ..Style::PLAIN });
                let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
                assert!(widest <= usize::from(width), "{width}:\n{text}");
                assert!(text.contains("Plugin") && text.contains("yes"), "{width}:\n{text}");
            }
        }
    }

    #[test]
    fn plugins_are_listed_in_a_table() {
        let list = PluginList {
            scanner: Some(ScannerInfo { kind: ScannerKind::Kast, version: "3.0.40".into(), configuration: None }),
            plugins: vec![PluginInfo {
                name: "related_sites".into(),
                display_name: "Related".into(),
                description: "Finds\nsites".into(),
                kind: PluginKind::Passive,
                available: false,
                dependencies: vec!["subfinder".into()],
            }],
        };
        insta::assert_snapshot!(text(&list, Style::PLAIN), @r##"
        Scanner: KAST 3.0.40

         Plugin         Kind     Installed  Needs      Description
         related_sites  passive  no         subfinder  Finds sites
        "##);
    }
}
