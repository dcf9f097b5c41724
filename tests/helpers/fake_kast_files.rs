//! The files that the fake KAST writes, and their faults.

use std::path::Path;
use std::time::Duration;

use super::{FAKE_PLUGINS, Play, attempts_beside};

const START: &str = "2026-11-23T19:06:59.039284";
const END: &str = "2026-11-23T19:07:02.533311";

/// Runs the plugins. Returns false if the program crashes before its end.
pub(super) async fn plugins(play: &Play) -> bool {
    let count = usize::try_from(play.number("p", 3)).unwrap().min(FAKE_PLUGINS.len());
    let is_selected = |name: &str| play.only.as_deref().is_none_or(|only| only.split(',').any(|one| one == name));
    let selected: Vec<&str> = FAKE_PLUGINS.iter().take(count).copied().filter(|name| is_selected(name)).collect();
    let count = selected.len();
    let pause = Duration::from_millis(play.number("ms", 0)) / u32::try_from(count.max(1)).unwrap();
    let mut info = Vec::new();
    for (index, name) in selected.into_iter().enumerate() {
        if index == 1 && play.is("halfcrash") && attempts_beside(&play.out) < 2 {
            return false;
        }
        write(&play.out, &format!("{name}.json"), b"[]");
        println!("Running {name}");
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        if play.is("gated") {
            gate(name).await;
        }
        let is_last = index + 1 == count;
        let failed = play.is("allfail") || (play.is("failp") && is_last);
        let odd = [("missingp", "unavailable"), ("skippedp", "skipped"), ("unknownp", "unknown")]
            .into_iter()
            .find(|(word, _)| is_last && play.is(word));
        let file = format!("{name}_processed.json");
        let mut text = processed(name, index, failed, play.is("clean"));
        if index == 0 {
            text = odd_result(&text, play);
        }
        match () {
            () if odd.is_some() => std::fs::remove_file(play.out.join(format!("{name}.json"))).unwrap(),
            () if index > 0 => write(&play.out, &file, text.as_bytes()),
            () if play.is("pspoilt") => {
                write(&play.out, &file, text.as_bytes());
                tokio::time::sleep(Duration::from_millis(200)).await;
                std::fs::write(play.out.join(&file), &text.as_bytes()[..text.len() / 2]).unwrap();
            }
            () if play.is("ptruncated") => write(&play.out, &file, &text.as_bytes()[..text.len() / 2]),
            () if play.is("phuge") => sparse(&play.out.join(&file)),
            () if play.is("pdeep") => write(&play.out, &file, deep("summary").as_bytes()),
            () if play.is("platin1") => write(&play.out, &file, &latin1(&text)),
            () if play.is("plinked") => link(&play.out.join(&file)),
            () => write(&play.out, &file, text.as_bytes()),
        }
        let status = odd.map_or(if failed { "fail" } else { "success" }, |(_, status)| status);
        let status = if index == 0 && play.is("infotimeout") { "timeout" } else { status };
        info.push(serde_json::json!({"plugin_name": name, "start_timestamp": START, "end_timestamp": END, "duration_seconds": 3.5, "status": status}));
    }
    for number in (0..600).filter(|_| play.is("manyp")) {
        let name = format!("more_{number}");
        write(&play.out, &format!("{name}_processed.json"), processed(&name, 0, false, true).as_bytes());
        info.push(serde_json::json!({"plugin_name": name, "start_timestamp": START, "end_timestamp": END, "status": "success"}));
    }
    let text = serde_json::json!({"kast_version": "3.0.40", "note": "a bücher note", "plugins": info}).to_string();
    const INFO: &str = "kast_info.json";
    match () {
        () if play.is("truncated") => write(&play.out, INFO, &text.as_bytes()[..text.len() / 2]),
        () if play.is("huge") => sparse(&play.out.join(INFO)),
        () if play.is("deep") => write(&play.out, INFO, deep("plugins").as_bytes()),
        () if play.is("latin1") => write(&play.out, INFO, &latin1(&text)),
        () if play.is("linked") => link(&play.out.join(INFO)),
        () if play.is("fifo") => {
            use rustix::fs::{CWD, FileType, Mode};
            rustix::fs::mknodat(CWD, play.out.join(INFO), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }
        () => write(&play.out, INFO, text.as_bytes()),
    }
    if !play.is("noreport") {
        write(&play.out, "kast_report.html", b"<h1>a report</h1>");
    }
    true
}

/// Writes the content that a hostile site could get into the files of its scan. Each script that
/// runs leaves a mark: it changes the title or the text of a paragraph.
pub(super) fn hostile(out: &Path) {
    let script = "document.title = 'owned'; window.owned = true";
    println!("<script>{script}</script><img src=x onerror=\"{script}\">");
    let report = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>a report</title><link rel=stylesheet href=kast_style.css><style>#inline {{ color: rgb(4, 5, 6) }}</style>
         <h1 id=styled>a report</h1><p id=inline>with a style</p><p id=canary>as written</p><img id=own src=logo.png alt=''>
         <script>{script}; canary.textContent = 'a script ran'; fetch('/api/scans/1/cancel', {{ method: 'POST' }})</script><script src=owned.js></script>
         <img src=missing.png onerror=\"canary.textContent = 'a handler ran'\" alt=''><svg onload=\"canary.textContent = 'an image ran'\"></svg>
         <form id=form action=/scans/bulk method=post><input name=action value=delete><input name=scan value=1><input name=confirmed value=yes></form>
         <a id=up target=_top href=\"javascript:{script}\">up</a><iframe src=/scans/1></iframe>"
    );
    write(out, "kast_report.html", report.as_bytes());
    write(out, "kast_style.css", b"#styled { color: rgb(1, 2, 3) }");
    write(out, "logo.png", PIXEL);
    write(out, "owned.js", script.as_bytes());
    let image = format!("<svg xmlns='http://www.w3.org/2000/svg' onload=\"{script}\"><script>{script}</script></svg>");
    for name in [
        "owned.svg",
        "<img src=x onerror=document.title='owned'>.txt",
        "\"><svg onload=document.title='owned'>.svg",
        "javascript:document.title='owned'.html",
        "a b#?%2e&.json",
    ] {
        write(out, name, image.as_bytes());
    }
}

/// A picture of one pixel.
const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\xdac\xfc\xcf\xc0P\x0f\0\x04\x85\x01\x80\x84\xa9\x8c!\0\0\0\0IEND\xaeB`\x82";

/// Waits until a test releases this plugin.
async fn gate(name: &str) {
    let file = Path::new(&std::env::var_os("FAKE_KAST_GATES").expect("`gated` needs FAKE_KAST_GATES")).join(name);
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn processed(name: &str, index: usize, failed: bool, is_clean: bool) -> String {
    let disposition = if failed { "fail" } else { "success" };
    serde_json::json!({
        "plugin-name": name,
        "timestamp": "2026-11-23T19:07:02.522+00:00",
        "findings": {"disposition": disposition, "results": [{"any": "thing"}]},
        "findings_count": index + 1,
        "summary": format!("{name} says b\u{fc}cher"),
        "issues": if is_clean { serde_json::json!([]) } else { serde_json::json!(["FAKE-1", {"id": "novel"}]) },
    })
    .to_string()
}

/// Changes a result into an unusual form.
fn odd_result(text: &str, play: &Play) -> String {
    let mut result: serde_json::Value = serde_json::from_str(text).unwrap();
    match () {
        () if play.is("pissuetext") => result["issues"] = "FAKE-1".into(),
        () if play.is("pissuekeys") => result["issues"] = serde_json::json!({ "FAKE-1": { "count": 1 } }),
        () if play.is("ptimeout") => result["findings"]["disposition"] = "timeout".into(),
        () if play.is("infotimeout") => result["findings"] = serde_json::json!({ "results": [] }),
        () => {}
    }
    result.to_string()
}

/// Writes a file atomically, as KAST does.
pub(super) fn write(folder: &Path, name: &str, text: &[u8]) {
    let fresh = folder.join(format!("{name}.tmp"));
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, folder.join(name)).unwrap();
}

fn sparse(path: &Path) {
    std::fs::File::create(path).unwrap().set_len(64 << 20).unwrap();
}

fn deep(key: &str) -> String {
    format!("{{\"{key}\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000))
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn link(path: &Path) {
    std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
}
