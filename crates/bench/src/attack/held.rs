//! Connections that are kept open and hardly used.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::endpoint::Stream;

/// Time for which an answer is not read. The server may have ended the connection before, which
/// only reading would reveal.
const UNREAD: Duration = Duration::from_secs(20);

/// Pause between two bytes of a body.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends nothing until the server ends the connection.
pub(super) async fn silent(mut stream: Box<dyn Stream>) -> anyhow::Result<()> {
    while stream.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

/// Sends a request and does not read the answer.
pub(super) async fn unread(mut stream: Box<dyn Stream>, request: &str) -> anyhow::Result<()> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    tokio::time::sleep(UNREAD).await;
    Ok(())
}

/// Sends a head, and then one byte of the body at a time, until the server answers.
pub(super) async fn slow_body(stream: Box<dyn Stream>, head: &str) -> anyhow::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let send = async {
        writer.write_all(head.as_bytes()).await?;
        loop {
            writer.write_all(b" ").await?;
            writer.flush().await?;
            tokio::time::sleep(PAUSE).await;
        }
    };
    let mut answer = [0; 64];
    tokio::select! {
        sent = send => sent,
        read = reader.read(&mut answer) => Ok(read.map(drop)?),
    }
}
