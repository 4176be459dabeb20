//! A hostile server that tries to get a login for the gateway of a server behind a host: nothing
//! that it receives is accepted by the gateway, the host or the listener for the host.

use e2e::{Host, HostOptions, OidcProvider};

use crate::login_replay::{
    Servers, a_document_gives_another_server_nothing, a_login_opens_one_server,
};

#[test]
fn a_login_at_another_server_opens_no_gateway() {
    let provider = OidcProvider::start(&["alice"]).unwrap();
    let bound = HostOptions::default().with_bound_logins(&provider);
    let real = Host::start_with(&bound.unwrap()).unwrap();
    a_document_gives_another_server_nothing(&real);

    let unbound = HostOptions::default().with_logins(&provider);
    a_login_opens_one_server(&Servers {
        provider: &provider,
        real: &real,
        opened: &Host::start_with(&unbound.unwrap()).unwrap(),
    });
}
