//! The attack kit: a good service passes it, and each broken one is found out.

mod broken;
mod hand_made;
mod proof;
mod well_built;
