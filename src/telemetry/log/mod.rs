//! Log lines: JSON as pino writes it, or text for people. Logging never blocks.

mod addresses;
mod fields;
mod init;
mod level;
mod line;
mod mask;
mod pipe;
mod subject;

pub use init::{LogError, flush, init, is_for_people};
pub use level::set_level;
pub use pipe::dropped_lines;
pub use subject::Subject;
