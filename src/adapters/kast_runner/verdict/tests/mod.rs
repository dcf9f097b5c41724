//! Tests of the verdict over the files of KAST and its plugins.
//!
//! `real_run`: the files of a real run. `odd_files`: files with odd and hostile values.
//! `end_words`: what counts if words disagree, and before the list exists. `evidence`: plugins that
//! checked nothing. `issues`: severities, titles and ZAP's alerts. `memory`: the memory that a
//! large file needs.

mod end_words;
mod evidence;
mod issues;
mod memory;
mod odd_files;
mod real_run;
mod support;
