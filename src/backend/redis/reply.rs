//! Reads the replies of stream commands, in RESP2 or RESP3.

use redis::Value;

use crate::backend::QueuedEntry;

/// The field with the ledger entry in an entry of a stream.
const FIELD: &[u8] = b"e";

/// Reads a list of pairs: an id and its fields.
pub(super) fn read_list(partition: u16, list: Value) -> Vec<QueuedEntry> {
    let Value::Array(entries) = list else { return Vec::new() };
    entries.into_iter().filter_map(|entry| read_entry(partition, entry)).collect()
}

fn read_entry(partition: u16, entry: Value) -> Option<QueuedEntry> {
    let Value::Array(pair) = entry else { return None };
    let [Value::BulkString(id), fields] = <[Value; 2]>::try_from(pair).ok()? else { return None };
    let text = match fields {
        Value::Array(fields) => Some(text(fields)),
        _ => None,
    };
    Some(QueuedEntry { partition, id: String::from_utf8(id).ok()?, text })
}

/// The value of the field. A missing field is an error, and must be reported.
fn text(fields: Vec<Value>) -> Vec<u8> {
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        if let (Value::BulkString(name), Value::BulkString(value)) = (name, value)
            && name == FIELD
        {
            return value;
        }
    }
    Vec::new()
}

/// Reads the reply of an `XREADGROUP` on one stream, in RESP2 or RESP3.
pub(super) fn read_reply(partition: u16, reply: Value) -> Vec<QueuedEntry> {
    let list = match reply {
        Value::Map(streams) => streams.into_iter().next().map(|(_, list)| list),
        Value::Array(streams) => streams.into_iter().next().and_then(|stream| match stream {
            Value::Array(pair) => pair.into_iter().nth(1),
            _ => None,
        }),
        _ => None,
    };
    list.map(|list| read_list(partition, list)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn replies_are_read_in_both_protocols() {
        let list = || {
            Value::Array(vec![
                Value::Array(vec![bulk("1-0"), Value::Array(vec![bulk("x"), bulk("y"), bulk("e"), bulk("{}")])]),
                Value::Array(vec![bulk("2-0"), Value::Nil]),
                Value::Array(vec![bulk("3-0"), Value::Array(vec![bulk("x"), bulk("y")])]),
            ])
        };
        let three = Value::Map(vec![(bulk("s"), list())]);
        let two = Value::Array(vec![Value::Array(vec![bulk("s"), list()])]);
        for reply in [three, two] {
            let entries = read_reply(7, reply);
            let shape: Vec<_> = entries.iter().map(|it| (it.id.as_str(), it.text.as_deref())).collect();
            assert_eq!(shape, [("1-0", Some(&b"{}"[..])), ("2-0", None), ("3-0", Some(&b""[..]))]);
            assert!(entries[0].entry().is_some_and(|entry| entry.is_err()) && entries[1].entry().is_none());
        }
        assert!(read_reply(7, Value::Nil).is_empty());
    }
}
