use crate::{config::Resource, telemetry::Label};

impl Label for Resource {
    const KEY: &'static str = "resource";
    const ALL: &'static [Self] = &Resource::ALL;
    fn value(self) -> &'static str {
        self.name()
    }
}
