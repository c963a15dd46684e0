/// What this process occupies, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Resident.
    pub resident: u64,
    /// Mapped.
    pub mapped: u64,
}

/// Asks the kernel. Zeros where there is no `/proc`.
pub fn memory() -> Memory {
    const PAGE: u64 = 4096;
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = text.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0));
    let mut next = || pages.next().unwrap_or(0) * PAGE;
    let mapped = next();
    Memory { mapped, resident: next() }
}
