use std::fs;

use anyhow::{Context, Result};

use crate::units::{float, per};

/// Memory of the kernel that sockets use, in bytes, of the whole machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KernelMemory {
    /// Objects: sockets, files, inodes, entries of epoll.
    slab: u64,
    /// What is under way in sockets of TCP, in pages.
    buffers: u64,
}

/// Bytes of a page, by which the kernel counts buffers.
const PAGE: u64 = 4096;

impl KernelMemory {
    pub(crate) fn read() -> Result<Self> {
        let read = |path| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
        let (memory, sockets) = (read("/proc/meminfo")?, read("/proc/net/sockstat")?);
        Self::parse(&memory, &sockets).context("cannot parse /proc/meminfo or /proc/net/sockstat")
    }

    fn parse(memory: &str, sockets: &str) -> Option<Self> {
        let slab = memory.lines().find_map(|line| line.strip_prefix("Slab:"))?;
        let tcp = sockets.lines().find_map(|line| line.strip_prefix("TCP:"))?;
        let pages = tcp.split_ascii_whitespace().skip_while(|word| *word != "mem").nth(1)?;
        Some(Self {
            slab: slab.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024,
            buffers: pages.parse::<u64>().ok()? * PAGE,
        })
    }

    /// Bytes for each of so many connections since an earlier time: of objects, and of buffers. Each connection has both its ends on this
    /// machine.
    pub(crate) fn per_connection(self, earlier: Self, connections: u64) -> (f64, f64) {
        let each = |now, before| per(float(now) - float(before), connections);
        (each(self.slab, earlier.slab), each(self.buffers, earlier.buffers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_out_among_connections() {
        let memory = |kilobytes| format!("MemFree: 5 kB\nSlab:   {kilobytes} kB\nSUnreclaim: 9 kB\n");
        let sockets =
            |pages| format!("sockets: used 9\nTCP: inuse 4 orphan 0 tw 10 alloc 8 mem {pages}\nUDP: inuse 0 mem 7\n");
        let parse = |kilobytes, pages| KernelMemory::parse(&memory(kilobytes), &sockets(pages)).unwrap();
        let (slab, buffers) = parse(300, 12).per_connection(parse(100, 2), 10);
        assert!((slab - 20_480.0).abs() < 1e-9 && (buffers - 4_096.0).abs() < 1e-9, "{slab} {buffers}");
        assert!(KernelMemory::parse("", "").is_none());
        KernelMemory::read().unwrap();
    }
}
