use std::{
    os::unix::process::CommandExt,
    process::{Child, Command},
};

/// A child with all that it starts itself; nothing of it outlives this value.
pub(crate) struct Group {
    child: Child,
}

impl Group {
    pub(crate) fn spawn(command: &mut Command) -> std::io::Result<Self> {
        Ok(Self { child: command.process_group(0).spawn()? })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Ends it like a power cut: without closing connections in order.
    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        // Where there is no `kill`, at least the one that we know.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self) {
        assert!(self.signal("TERM"), "the shell's `kill` is needed to ask a process to end");
        let _ = self.child.wait();
    }

    /// The whole group: Chromium's sockets are in a process of their own. (The `kill` of the shell: there is no safe
    /// call for groups in std.)
    fn signal(&mut self, name: &str) -> bool {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return true;
        }
        let status =
            Command::new("kill").arg(format!("-{name}")).arg("--").arg(format!("-{}", self.child.id())).status();
        status.is_ok_and(|status| status.success())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
