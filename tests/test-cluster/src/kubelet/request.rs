//! A request of kube-apiserver to a kubelet: the head of an HTTP/1.1 request.

use std::io::{self, BufRead, ErrorKind};

/// The head of a request.
pub(super) struct Request {
    /// The path, without the query.
    pub(super) path: String,
    query: Vec<(String, String)>,
    /// The headers, with names in lower case.
    headers: Vec<(String, String)>,
}

impl Request {
    pub(super) fn read(input: &mut impl BufRead) -> io::Result<Self> {
        let first = line(input)?;
        let target = first.split(' ').nth(1).ok_or(ErrorKind::InvalidData)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pair = |text: &str| {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            (name.to_owned(), value.to_owned())
        };
        let mut headers = Vec::new();
        loop {
            let line = line(input)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or(ErrorKind::InvalidData)?;
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            query: query.split('&').map(pair).collect(),
            headers,
        })
    }

    /// Returns the values of a parameter, in their encoded form.
    pub(super) fn parameters<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        values(&self.query, name)
    }

    /// Returns the first header with this name, which must be in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        values(&self.headers, name).next()
    }
}

fn values<'a>(pairs: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    let found = pairs.iter().filter(move |(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
