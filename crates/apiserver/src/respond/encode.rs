//! Conversion of stored JSON to indented JSON or YAML. The order of fields is preserved.

use machinery::status::Status;

/// Indents JSON by two spaces, as kube-apiserver does for interactive clients.
///
/// # Errors
/// 500 if the bytes are not JSON, which this server never stores.
pub(crate) fn pretty_json(json: &[u8]) -> Result<Vec<u8>, Status> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let mut serializer = serde_json::Serializer::pretty(&mut out);
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    serde_transcode::transcode(&mut deserializer, &mut serializer).map_err(not_json)?;
    Ok(out)
}

/// Converts JSON to YAML.
///
/// # Errors
/// As for [`pretty_json`].
pub(crate) fn yaml(json: &[u8]) -> Result<Vec<u8>, Status> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let transcoder = serde_transcode::Transcoder::new(&mut deserializer);
    serde_saphyr::to_string(&transcoder)
        .map(String::into_bytes)
        .map_err(not_json)
}

fn not_json(error: impl std::fmt::Display) -> Status {
    tracing::error!(%error, "a response cannot be encoded in the requested media type");
    Status::internal("the response cannot be encoded in the requested media type")
}
