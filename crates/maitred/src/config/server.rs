//! Where the server listens, where it keeps everything, and whom it answers.

use std::net::SocketAddr;
use std::path::PathBuf;

use maitred_web::address::Proxies;

use super::listen::Listen;
use super::proxies::{Networks, ProxyHeader};
use super::settings;

settings! {
    /// Where the server listens, where it keeps everything, and whom it answers.
    Server, layer ServerLayer {
        /// Address to listen on: HOST:PORT, or a PORT of 127.0.0.1. Other than loopback only together with --auth [default: 127.0.0.1:8080]
        listen: Listen = Listen(SocketAddr::from(([127, 0, 0, 1], 8080))), "listen" "MAITRED_LISTEN" [value_name = "ADDRESS"];
        /// Folder that holds everything; made if it is not there [default: ./maitred-data]
        data: PathBuf = PathBuf::from("./maitred-data"), "data" "MAITRED_DATA" [value_name = "DIR"];
        /// Demand API keys; make the first with `maitred keys create --role admin` [default: false]
        auth: bool = false, "auth" "MAITRED_AUTH"
            [num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL"];
        /// Fill a demo tenant with appointments around today. Harmless when repeated [default: false]
        demo: bool = false, "demo" "MAITRED_DEMO"
            [num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL"];
        /// Tenant of drop-in requests that name none [default: default]
        default_tenant: String = "default".to_owned(), "default-tenant" "MAITRED_DEFAULT_TENANT" [value_name = "NAME"];
        /// Networks of proxies that are believed for whom they speak, such as 10.0.0.0/8,fd00::/8 [default: []]
        trusted_proxies: Networks = Networks::default(), "trusted-proxies" "MAITRED_TRUSTED_PROXIES"
            [value_name = "NETWORKS"];
        /// Header in which they say it; the other is not read [default: x-forwarded-for]
        proxy_header: ProxyHeader = ProxyHeader::XForwardedFor, "proxy-header" "MAITRED_PROXY_HEADER"
            [value_enum, value_name = "HEADER"];
    }
}

impl Server {
    /// The proxies that are believed, if there are any.
    pub fn proxies(&self) -> Option<Proxies> {
        let networks = self.trusted_proxies.0.clone();
        (!networks.is_empty()).then(|| Proxies { networks, header: self.proxy_header.into() })
    }
}
