//! Test of the memory that reading a large file needs.

use kastrel_actors::model::PluginStatus;

use super::support::catalogue;
use crate::adapters::kast_runner::verdict::processed::read;

/// A crawler's result with many URLs, generated while it is read.
struct Crawl {
    left: usize,
    issues_left: usize,
    pending: Vec<u8>,
    at: usize,
    served: u64,
}

impl std::io::Read for Crawl {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.pending.len() {
            self.at = 0;
            self.pending.clear();
            if self.left > 0 {
                self.left -= 1;
                self.pending.extend_from_slice(b"\"https://shop.example/");
                self.pending.resize(600, b'a');
                self.pending.extend_from_slice(if self.left == 0 { b"\"]},\"custom_html\":\"" } else { b"\"," });
                if self.left == 0 {
                    // One text with the size of a report.
                    self.pending.resize(4 << 20, b'x');
                    self.pending.extend_from_slice(b"\",\"issues\":[");
                }
            } else if self.issues_left > 0 {
                self.issues_left -= 1;
                self.pending.extend_from_slice(if self.issues_left == 0 {
                    b"\"BEAST\"],\"findings_count\":90000}"
                } else {
                    b"\"SWEET32\","
                });
            }
        }
        let taken = buffer.len().min(self.pending.len() - self.at);
        buffer[..taken].copy_from_slice(&self.pending[self.at..self.at + taken]);
        self.at += taken;
        self.served += taken as u64;
        Ok(taken)
    }
}

fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// The measured memory is that of the process, so the crawl is read in a separate process.
#[test]
fn a_crawl_of_any_size_is_read_in_bounded_memory() {
    const ALONE: &str = "KASTREL_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = format!(
            "{}::a_crawl_of_any_size_is_read_in_bounded_memory",
            module_path!().trim_start_matches("kastrel::")
        );
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[alone.stdout, alone.stderr].concat()).into_owned();
        assert!(alone.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let mut crawl = Crawl {
        left: 90_000,
        issues_left: 50_000,
        pending: br#"{"findings":{"disposition":"success","results":["#.to_vec(),
        at: 0,
        served: 0,
    };
    let before = peak_memory();
    let plugin = read("katana", &mut crawl, Some(&catalogue())).result;
    let (grown, served) = (peak_memory().saturating_sub(before), crawl.served);
    assert_eq!((plugin.status, plugin.findings_count), (PluginStatus::Completed, 90_000));
    assert_eq!((plugin.severities.low, plugin.severities.medium, plugin.issues.len()), (49_999, 1, 200));
    assert!(served > 55_000_000 && grown < served / 2, "{grown} bytes for a file of {served}");
}
