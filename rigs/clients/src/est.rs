//! EST, by usg-est-client. Source: RFC 7030.

use crate::{Failed, keep};
use der::Encode;
use std::time::Duration;
use usg_est_client::{EnrollmentResponse, EstClient, EstClientConfig};

pub struct Server<'a> {
    pub url: &'a str,
    pub label: &'a str,
    pub root: &'a str,
}

impl Server<'_> {
    async fn client(&self, proof: &[&str]) -> Result<EstClient, Failed> {
        let root = std::fs::read(self.root)?;
        let config = EstClientConfig::builder().server_url(self.url)?.ca_label(self.label).trust_explicit(vec![root]);
        let config = match proof {
            [] => config,
            ["user", user, file] => config.http_auth(*user, std::fs::read_to_string(file)?.trim()),
            ["certificate", file, key] => config.client_identity_pem(std::fs::read(file)?, std::fs::read(key)?),
            _ => return Err("no such proof".into()),
        };
        Ok(EstClient::new(config.timeout(Duration::from_secs(60)).build()?).await?)
    }
}

/// Asks for one thing, keeps what comes, and tells what it was.
pub async fn ask(server: Server<'_>, operation: &str, request: &str, proof: &[&str]) -> Result<String, Failed> {
    let client = server.client(proof).await?;
    let issued = |answer| match answer {
        EnrollmentResponse::Issued { certificate } => {
            keep(request, 1, &certificate.to_der()?)?;
            Ok("issued".to_owned())
        }
        EnrollmentResponse::Pending { retry_after } => Ok(format!("pending {retry_after}")),
    };
    match operation {
        "cacerts" => {
            let all = client.get_ca_certs().await?;
            for (number, one) in all.iter().enumerate() {
                keep(request, number + 1, &one.to_der()?)?;
            }
            Ok(format!("{} authorities", all.len()))
        }
        "csrattrs" => Ok(format!("{:?}", client.get_csr_attributes().await?)),
        "simpleenroll" => issued(client.simple_enroll(&std::fs::read(request)?).await?),
        "simplereenroll" => issued(client.simple_reenroll(&std::fs::read(request)?).await?),
        "serverkeygen" => {
            let made = client.server_keygen(&std::fs::read(request)?).await?;
            keep(request, 1, &made.certificate.to_der()?)?;
            keep(request, 2, &made.private_key)?;
            Ok(format!("key, encrypted: {}", made.key_encrypted))
        }
        _ => Err(format!("no such operation: {operation}").into()),
    }
}
