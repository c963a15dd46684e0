use super::Resource;

/// The absolute caps of an account, by setting; without one there is no cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps([Option<u32>; Resource::ALL.len()]);

/// Why a text is no cap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCap {
    #[error("expected RESOURCE=NUMBER, such as sockets=200")]
    Form,
    #[error("\"{0}\" is none of {names}", names = names())]
    Unknown(String),
    #[error("expected a whole number above 0 after \"{0}=\"")]
    Number(String),
}

fn names() -> String {
    Resource::ALL.iter().map(|it| it.name()).collect::<Vec<_>>().join(", ")
}

impl Caps {
    /// Reads one cap, such as `sockets=200`.
    pub fn parse(text: &str) -> Result<(Resource, u32), BadCap> {
        let (name, number) = text.split_once('=').ok_or(BadCap::Form)?;
        let name = name.trim();
        let resource = Resource::ALL.iter().find(|it| it.name() == name);
        let resource = resource.ok_or_else(|| BadCap::Unknown(name.to_owned()))?;
        match number.trim().parse() {
            Ok(0) | Err(_) => Err(BadCap::Number(name.to_owned())),
            Ok(number) => Ok((*resource, number)),
        }
    }

    /// The cap of a resource.
    pub fn of(&self, resource: Resource) -> Option<u32> {
        self.0.get(resource.place()).copied().flatten()
    }
}

impl FromIterator<(Resource, u32)> for Caps {
    fn from_iter<I: IntoIterator<Item = (Resource, u32)>>(caps: I) -> Self {
        let mut all = Self::default();
        for (resource, most) in caps {
            if let Some(cap) = all.0.get_mut(resource.place()) {
                *cap = Some(most);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_has_a_cap_and_nothing_else_has() {
        let caps: Caps = ["sockets=200", "cpu = 50000"].iter().map(|text| Caps::parse(text).unwrap()).collect();
        assert_eq!((caps.of(Resource::Sockets), caps.of(Resource::Cpu)), (Some(200), Some(50_000)));
        assert_eq!(caps.of(Resource::Rooms), None);
        assert_eq!(Caps::parse("sockets"), Err(BadCap::Form));
        for wrong in ["sockets=0", "sockets=-1", "sockets=many", "sockets="] {
            assert_eq!(Caps::parse(wrong), Err(BadCap::Number("sockets".to_owned())));
        }
        let unknown = Caps::parse("socket=1").unwrap_err().to_string();
        assert!(unknown.contains("\"socket\" is none of sockets, connections"), "{unknown}");
    }
}
