//! The scripts. They are sent once and then named by their digest; ids are never part of them.

use redis::Script;

#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) rotate: Script,
    pub(super) acknowledge: Script,
    pub(super) end: Script,
    pub(super) remove: Script,
    pub(super) index: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            rotate: Script::new(include_str!("rotate.lua")),
            acknowledge: Script::new(include_str!("acknowledge.lua")),
            end: Script::new(include_str!("end.lua")),
            remove: Script::new(include_str!("remove.lua")),
            index: Script::new(include_str!("index.lua")),
        }
    }
}
