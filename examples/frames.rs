//! Frames over raw TCP: a length of 4 bytes, most significant first, then so many bytes. Each is
//! answered with the same bytes in reverse; a frame beyond 64 KiB is refused before its body is
//! read, with an empty frame, and ends the connection.

use futures_util::{SinkExt, StreamExt};
use stead::{Server, StartError, Stead};
use tokio::io;
use tokio::net::TcpStream;
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// The longest frame that is taken, in bytes.
const FRAME_BYTES_MAX: usize = 64 << 10;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| ":8888".to_owned());
    let server = Server::new("frames").listen(address).tcp(frames);
    let running = Stead::new().server(server).start().await?;
    println!("{}", running.listening()[0].url);
    running.shutdown_on_signal().await
}

async fn frames(stream: TcpStream) -> io::Result<()> {
    let codec = LengthDelimitedCodec::builder()
        .length_field_length(4)
        .max_frame_length(FRAME_BYTES_MAX)
        .new_codec();
    let mut framed = Framed::new(stream, codec);
    while let Some(frame) = framed.next().await {
        match frame {
            Ok(frame) => framed.send(answer(frame)).await?,
            Err(error) => {
                framed.send(Bytes::new()).await?;
                return Err(error);
            }
        }
    }
    Ok(())
}

fn answer(mut frame: BytesMut) -> Bytes {
    frame.reverse();
    frame.freeze()
}
