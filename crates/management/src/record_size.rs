//! Limits on the data that users write into one record.

use std::io;

use machinery::field::{Error, ErrorList, Path};
use machinery::meta::ObjectMeta;
use serde::Serialize;

/// Maximum size of a description, in bytes.
const MAX_DESCRIPTION: usize = 4096;

/// Maximum size of the metadata that clients write, as JSON, in bytes: labels, annotations,
/// finalizers and managed fields. Kubernetes has this limit for annotations alone.
const MAX_METADATA: usize = 256 * 1024;

/// Checks `spec.description`. A longer one that is already stored may be kept or shortened.
pub fn check_description(description: &str, live: Option<&str>) -> ErrorList {
    let path = Path::root("spec").child("description");
    let longest = MAX_DESCRIPTION.max(live.map_or(0, str::len));
    match description.len() <= longest {
        true => ErrorList::new(),
        false => vec![Error::too_long(&path, MAX_DESCRIPTION)],
    }
}

/// Checks the size of metadata. Larger metadata that is already stored may be kept or made smaller.
pub fn check_metadata(metadata: &ObjectMeta, live: Option<&ObjectMeta>) -> ErrorList {
    let size = size_of(metadata);
    if size <= MAX_METADATA || live.is_some_and(|live| size <= size_of(live)) {
        return ErrorList::new();
    }
    vec![Error::too_long(&Path::root("metadata"), MAX_METADATA)]
}

/// Returns the size of a value as JSON, in bytes.
pub fn json_size(value: &impl Serialize) -> usize {
    let mut counter = Counter(0);
    // Counting cannot fail, and a value without a JSON form is not stored.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

fn size_of(metadata: &ObjectMeta) -> usize {
    json_size(&metadata.labels)
        + json_size(&metadata.annotations)
        + json_size(&metadata.finalizers)
        + json_size(&metadata.managed_fields)
}

/// Writer that counts bytes.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[track_caller]
    fn check(new: usize, live: Option<usize>, expected: &[&str]) {
        let text = |length| "x".repeat(length);
        let live = live.map(text);
        let errors = check_description(&text(new), live.as_deref());
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected, "{new}");
    }

    #[test]
    fn a_description_is_short_or_no_longer_than_before() {
        let long = "spec.description: Too long: may not be more than 4096 bytes";
        check(4096, None, &[]);
        check(4097, None, &[long]);
        check(5000, Some(5000), &[]);
        check(4999, Some(5000), &[]);
        check(5001, Some(5000), &[long]);
        check(4097, Some(4096), &[long]);
        check(0, Some(0), &[]);
    }

    #[test]
    fn metadata_is_bounded_as_a_whole() {
        let metadata = |bytes: usize| ObjectMeta {
            annotations: Some(BTreeMap::from([("a".to_owned(), "x".repeat(bytes))])),
            finalizers: Some(vec!["example.com/x".repeat(10_000)]),
            ..ObjectMeta::default()
        };
        let told =
            |errors: ErrorList| -> Vec<String> { errors.iter().map(ToString::to_string).collect() };
        let long = ["metadata: Too long: may not be more than 262144 bytes"];
        assert!(check_metadata(&metadata(100_000), None).is_empty());
        assert_eq!(told(check_metadata(&metadata(140_000), None)), long);
        let live = metadata(150_000);
        assert!(check_metadata(&metadata(150_000), Some(&live)).is_empty());
        assert_eq!(told(check_metadata(&metadata(150_001), Some(&live))), long);
    }
}
