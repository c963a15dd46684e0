//! What the targets share. Whatever they find is a panic: an assertion of theirs, or one of the code under test.

pub mod json;
pub mod pieces;
pub mod stage;
pub mod wire;
