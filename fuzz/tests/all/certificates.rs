//! Certificates and requests for them, in PEM and what is in it.

use std::hint::black_box;

use ::certificates::{Authority, Certificate, CertificateRequest, Names, Validity};
use auth::client_certificate::bundle_from_pem;
use fuzz::Target;
use jiff::{SignedDuration, Timestamp};

use crate::outcome;

const WORDS: &[&str] = &[
    "-----BEGIN CERTIFICATE-----\n",
    "-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE REQUEST-----\n",
    "-----END CERTIFICATE REQUEST-----\n",
    "-----BEGIN X-----\n",
    "MIIB",
    "=",
    "\n",
];

#[test]
fn pem_and_der() {
    let validity = Validity::starting(Timestamp::UNIX_EPOCH, SignedDuration::from_hours(24));
    let authority = Authority::create("a", validity).unwrap();
    let mut names = Names::default();
    names.add("127.0.0.1");
    names.add("x.example");
    let serving = authority.serving("s", &names, validity).unwrap();
    let client = authority.client("alice", &["dev"], validity).unwrap();
    let bundle = [authority.certificate_pem(), &client.certificate].concat();
    let target = Target {
        name: "certificates",
        seeds: &[
            authority.certificate_pem().as_bytes(),
            serving.certificate.as_bytes(),
            bundle.as_bytes(),
            include_bytes!("../../seeds/request.pem"),
        ],
        dictionary: WORDS,
    };
    target.run(|input| {
        let read = Certificate::bundle_from_pem(input);
        if let Ok(certificates) = &read {
            assert!(!certificates.is_empty());
            for certificate in certificates {
                black_box(certificate.is_signed_by(authority.certificate()));
                black_box(certificate.names.contain(&names));
            }
        }
        let bundle = bundle_from_pem(input);
        let request = CertificateRequest::from_pem(&String::from_utf8_lossy(input));
        [outcome(&read), outcome(&bundle), outcome(&request)].join("|")
    });
}
