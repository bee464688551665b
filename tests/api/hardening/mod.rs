//! The attack kit: good services pass it, and each broken one is detected.

mod broken;
mod hand_made;
mod proof;
mod well_built;
