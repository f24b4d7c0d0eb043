//! An app of a tenant: an integration that makes calls.

use super::document::Node;
use super::limits::MAX_CALLS;
use super::routes::Routes;
use serde::Serialize;

/// The most origins of an app.
pub const MAX_ORIGINS: usize = 100;

/// The longest origin, bytes: a scheme, a DNS name of 253 and a port.
const MAX_ORIGIN_BYTES: usize = 300;

/// An app in the form in which it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The app's weight against the other apps' when the queue is shared.
    pub weight: u32,
    /// How many calls it may make a day on each connection.
    pub daily_calls: Option<u64>,
    /// The pages from which it may call, as browsers send `Origin`. If there are any, it may call
    /// from nowhere else.
    pub origins: Vec<String>,
    /// The calls that it may make.
    pub routes: Routes,
    /// The connections that it may use; `None` stands for all.
    pub connections: Option<Vec<String>>,
}

/// An app in the form in which it is written.
#[derive(Serialize)]
pub(super) struct AppDocument<'a> {
    weight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    daily_calls: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    origins: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    routes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<&'a [String]>,
}

impl App {
    /// Whether the app may use that connection.
    pub fn may_use(&self, connection: &str) -> bool {
        self.connections.as_ref().is_none_or(|own| own.iter().any(|name| name == connection))
    }

    /// Returns the part of the document that this app can be read from.
    pub(super) fn document(&self) -> AppDocument<'_> {
        AppDocument {
            weight: self.weight,
            daily_calls: self.daily_calls,
            origins: &self.origins,
            routes: (!self.routes.is_all()).then(|| self.routes.written()),
            connections: self.connections.as_deref(),
        }
    }

    pub(super) fn read(at: &Node<'_>, connections: &[&str]) -> Option<Self> {
        let fields = at.object(&["weight", "daily_calls", "origins", "routes", "connections"])?;
        let weight = fields.get("weight").map_or(Some(1), |at| u32::try_from(at.integer(1..=1_000)?).ok());
        let daily_calls = fields.get("daily_calls").map(|at| at.integer(1..=MAX_CALLS));
        let origins = fields.get("origins").map_or(Some(Vec::new()), |at| read_origins(&at));
        let routes = fields.get("routes").map_or(Some(Routes::default()), |at| Routes::read(&at));
        let own = fields.get("connections").map(|at| read_connections(&at, connections));
        Some(Self {
            weight: weight?,
            daily_calls: daily_calls.map_or(Some(None), |calls| calls.map(Some))?,
            origins: origins?,
            routes: routes?,
            connections: own.map_or(Some(None), |own| own.map(Some))?,
        })
    }
}

fn read_connections(at: &Node<'_>, known: &[&str]) -> Option<Vec<String>> {
    let mut own = Vec::new();
    for item in at.list(super::MAX_CONNECTIONS)? {
        let Some(name) = item.text(crate::keys::MAX_NAME_BYTES) else { continue };
        if known.contains(&name) {
            own.push(name.to_owned());
        } else {
            item.fault::<()>("the policy has no connection of this name");
        }
    }
    own.sort();
    own.dedup();
    Some(own)
}

fn read_origins(at: &Node<'_>) -> Option<Vec<String>> {
    let mut origins = Vec::new();
    for item in at.list(MAX_ORIGINS)? {
        let Some(text) = item.text(MAX_ORIGIN_BYTES) else { continue };
        if is_origin(text) {
            origins.push(text.to_owned());
        } else {
            item.fault::<()>(
                "an origin is written as a browser sends it: scheme://host in lower case, with a port unless it is the \
                 scheme's own, and nothing after it",
            );
        }
    }
    origins.sort();
    origins.dedup();
    Some(origins)
}

/// Whether a text is an origin as browsers write it (RFC 6454, section 6.2). Pages are recognised
/// by these very bytes.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match bracketed {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok_and(|address| address.to_string() == inner),
        None => {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
        }
    };
    let own_port = match scheme {
        "https" => "443",
        "http" => "80",
        _ => "",
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port);
    is_scheme && is_host && port.is_none_or(|port| is_port(port) && port != own_port)
}
