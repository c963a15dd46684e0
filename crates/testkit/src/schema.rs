//! The JSON Schema of the wire protocol, compiled once per thread.

use std::{cell::RefCell, collections::HashMap, sync::LazyLock};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

const TEXT: &str = include_str!("../../../schema/frames.schema.json");
const URL: &str = "https://tandem.invalid/frames.schema.json";

struct Compiled {
    compiler: Compiler,
    schemas: Schemas,
    by_place: HashMap<String, SchemaIndex>,
}

thread_local! {
    static COMPILED: RefCell<Compiled> = RefCell::new({
        let mut compiler = Compiler::new();
        compiler.add_resource(URL, DOCUMENT.clone()).unwrap();
        Compiled { compiler, schemas: Schemas::new(), by_place: HashMap::new() }
    });
}

pub static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(TEXT).expect("schema/frames.schema.json is JSON"));

/// The frame types that `side` (`client` or `server`) has.
pub fn types(side: &str) -> Vec<String> {
    let frames = &DOCUMENT["$defs"][side]["$defs"];
    frames.as_object().unwrap().keys().cloned().collect()
}

/// Validates a frame by the definition of its own type. `Err` has the reason.
pub fn check(side: &str, frame: &Value) -> Result<(), String> {
    let Some(name) = frame["type"].as_str() else {
        return Err("no `type`".to_owned());
    };
    if DOCUMENT["$defs"][side]["$defs"].get(name).is_none() {
        return Err(format!("the schema knows no {side} frame of type {name}"));
    }
    validate(&format!("{URL}#/$defs/{side}/$defs/{name}"), frame)
}

/// Validates a frame by the whole union, as other validators would.
pub fn check_union(side: &str, frame: &Value) -> Result<(), String> {
    validate(&format!("{URL}#/$defs/{side}"), frame)
}

fn validate(place: &str, frame: &Value) -> Result<(), String> {
    COMPILED.with_borrow_mut(|all| {
        let index = if let Some(&index) = all.by_place.get(place) {
            index
        } else {
            let index = all.compiler.compile(place, &mut all.schemas).unwrap_or_else(|error| panic!("{error:#}"));
            all.by_place.insert(place.to_owned(), index);
            index
        };
        all.schemas.validate(frame, index).map_err(|error| format!("{error:#}"))
    })
}
