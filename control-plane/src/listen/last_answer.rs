//! An answer to a connection that is closed with it.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes that are read of a request.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Reads the head of a request, answers with `text` and closes the connection.
pub(super) async fn answer_and_close<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    text: &[u8],
) -> std::io::Result<()> {
    // Unread bytes would have the system reset the connection, and the answer be lost.
    let mut head = Vec::new();
    while head.len() < MAX_HEAD_BYTES && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(text).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}
