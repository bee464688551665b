//! The Lua scripts. Each is sent once and then called by its digest. Ids are passed as arguments,
//! and are never part of a script.

use redis::Script;

#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) rotate: Script,
    pub(super) acknowledge: Script,
    pub(super) end: Script,
    pub(super) remove: Script,
    pub(super) index: Script,
    pub(super) ended: Script,
    pub(super) due: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        let counting = |code| Script::new(&[include_str!("numbers.lua"), code].concat());
        Self {
            rotate: counting(include_str!("rotate.lua")),
            acknowledge: counting(include_str!("acknowledge.lua")),
            end: counting(include_str!("end.lua")),
            remove: counting(include_str!("remove.lua")),
            index: Script::new(include_str!("index.lua")),
            ended: Script::new(include_str!("ended.lua")),
            due: Script::new(include_str!("due.lua")),
        }
    }
}
