//! The actions of a user in a browser at the provider.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, ensure};

use super::{OidcProvider, PASSWORD, location, post};
use crate::http::{Request, encode, expect};

impl OidcProvider {
    /// Opens a URL of the provider, which asks for the password of the user, and then the URL that
    /// the browser is redirected to, on this machine.
    ///
    /// # Errors
    /// Fails if either of them is refused.
    pub fn browse(&self, address: &str, user: &str) -> anyhow::Result<()> {
        let path = address.strip_prefix(&self.issuer());
        let back = self.log_in(path.context("the address of another")?, user)?;
        let back = back.strip_prefix("http://").context("not sent back here")?;
        let (host, path) = back.split_once('/').context("no path")?;
        let mut stream = TcpStream::connect(host)?;
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        Ok(())
    }

    /// Enters a device code, as a user who consents, and grants the request.
    ///
    /// # Errors
    /// Fails if the code is invalid, or the user is not permitted.
    pub fn type_code(&self, code: &str, user: &str) -> anyhow::Result<()> {
        let client = self.client()?;
        let (code, user) = (encode(code), encode(user));
        let form = format!("user_code={code}&username={user}&password={PASSWORD}");
        let page = expect(client.send(&post("/device/login", form))?, 200)?;
        let cookie = page.header("set-cookie").context("no such code")?;
        let cookie = cookie.split(';').next().unwrap_or_default();
        let allow = Request::get("/device/confirm?action=allowed").header("Cookie", cookie);
        expect(client.send(&allow)?, 200)?;
        Ok(())
    }

    /// Opens a path that asks for the password of the user. Returns the URL of the final redirect.
    pub(super) fn log_in(&self, path: &str, user: &str) -> anyhow::Result<String> {
        let client = self.client()?;
        let page = location(&client.get(path)?)?;
        let (_, id) = page.split_once('=').context("no request")?;
        let form = format!("username={}&password={PASSWORD}&id={id}", encode(user));
        let back = location(&client.send(&post("/login/username", form))?)?;
        let back = back.strip_prefix(&self.issuer()).unwrap_or(&back);
        location(&client.get(back)?)
    }
}
