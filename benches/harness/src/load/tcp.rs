//! A lane of one connection, with several queries on it at a time (RFC 7766, section 6.2.1.1).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::drive;

/// Octets that are read at once.
const READ_OCTETS: usize = 1 << 16;

pub(super) struct Lane {
    to: SocketAddr,
    stream: TcpStream,
    /// What is to be written yet.
    out: Vec<u8>,
    /// What came, up to `filled`.
    buffer: Vec<u8>,
    filled: usize,
}

impl Lane {
    pub(super) fn connect(to: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            to,
            stream: stream(to)?,
            out: Vec::new(),
            buffer: vec![0; READ_OCTETS],
            filled: 0,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn stream(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

impl drive::Lane for Lane {
    fn send(&mut self, queries: &[Vec<u8>]) -> io::Result<usize> {
        for query in queries {
            let length = u16::try_from(query.len()).expect("queries are short");
            self.out.extend_from_slice(&length.to_be_bytes());
            self.out.extend_from_slice(query);
        }
        self.flush()?;
        Ok(queries.len())
    }

    fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.flush()?;
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut at = 0;
        while let Some(&[high, low]) = self.buffer[at..self.filled].first_chunk() {
            let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
            if end > self.filled {
                break;
            }
            each(&self.buffer[at + 2..end]);
            at = end;
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    fn mend(&mut self) -> io::Result<()> {
        *self = Self::connect(self.to)?;
        Ok(())
    }
}
