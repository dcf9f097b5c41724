//! The Lua scripts. Each is one atomic step and starts with `scripts/delay_queue.lua`.

use redis::{Script, ScriptInvocation};

use super::keys::{GROUP, Keys};

macro_rules! script {
    ($name:literal) => {
        Script::new(concat!(
            include_str!("scripts/delay_queue.lua"),
            "\n",
            include_str!(concat!("scripts/", $name, ".lua"))
        ))
    };
}

#[derive(Debug)]
pub(super) struct Scripts {
    keys: Keys,
    signal: Script,
    take: Script,
    settle: Script,
    acknowledge: Script,
    release: Script,
    promote_due: Script,
    sweep: Script,
    depth: Script,
    probe: Script,
}

macro_rules! invocations {
    ($($name:ident)+) => {
        $(
            pub(super) fn $name(&self) -> ScriptInvocation<'_> {
                self.prepare(&self.$name)
            }
        )+
    };
}

impl Scripts {
    pub(super) fn new(keys: Keys) -> Self {
        Self {
            keys,
            signal: script!("signal"),
            take: script!("take"),
            settle: script!("settle"),
            acknowledge: script!("acknowledge"),
            release: script!("release"),
            promote_due: script!("promote_due"),
            sweep: script!("sweep"),
            depth: script!("depth"),
            // It uses keys of its own, and no function of `delay_queue.lua`.
            probe: Script::new(include_str!("scripts/probe.lua")),
        }
    }

    invocations! { signal take settle acknowledge release promote_due sweep depth }

    pub(super) fn probe(&self) -> ScriptInvocation<'_> {
        let mut invocation = self.probe.prepare_invoke();
        for key in &self.keys.probe {
            invocation.key(key);
        }
        invocation
    }

    fn prepare<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        let mut invocation = script.prepare_invoke();
        for key in self.keys.of_scripts() {
            invocation.key(key);
        }
        invocation.arg(GROUP);
        invocation
    }
}
