use crate::{
    protocol::{Close, Code, Received, ServerFrameType},
    telemetry::Label,
};

impl Label for Received {
    const KEY: &'static str = "type";
    const ALL: &'static [Self] = &Received::ALL;
    fn value(self) -> &'static str {
        self.as_str()
    }
    fn place(self) -> usize {
        Received::place(self)
    }
}

impl Label for ServerFrameType {
    const KEY: &'static str = "type";
    const ALL: &'static [Self] = ServerFrameType::ALL;
    fn value(self) -> &'static str {
        self.as_str()
    }
    fn place(self) -> usize {
        self as usize
    }
}

impl Label for Code {
    const KEY: &'static str = "code";
    const ALL: &'static [Self] = &Code::ALL;
    fn value(self) -> &'static str {
        self.as_str()
    }
}

impl Label for Close {
    const KEY: &'static str = "reason";
    const ALL: &'static [Self] = &Close::ALL;
    fn value(self) -> &'static str {
        self.reason()
    }
}
