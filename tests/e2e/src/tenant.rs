//! A tenant that belongs to one test.

use crate::answer::Answer;
use crate::client::{Ask, Open};
use crate::instance::Instance;
use crate::secrets;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A tenant on an instance. It is cheap to clone into a task.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    to: SocketAddr,
    admin_token: String,
}

impl Tenant {
    /// Makes a tenant that has no policy yet.
    pub fn new(instance: &Instance, name: &str) -> Self {
        Self { name: name.to_owned(), to: instance.address(), admin_token: instance.start.admin_token.clone() }
    }

    /// Sends an administrator's request; `path` follows `/admin`.
    pub async fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let ask =
            Ask::new(method, &format!("/admin{path}")).with("Authorization", &format!("Bearer {}", self.admin_token));
        let ask = match body {
            Some(body) => ask.with("Content-Type", "application/json").body(body.to_string()),
            None => ask,
        };
        ask.send(self.to).await
    }

    /// Puts a policy, whatever the answer is.
    pub async fn put(&self, policy: &Value) -> Answer {
        self.admin("PUT", &format!("/tenants/{}", self.name), Some(policy)).await
    }

    /// Puts a policy, which must be valid.
    pub async fn policy(&self, policy: &Value) {
        let answer = self.put(policy).await;
        assert!(matches!(answer.status, 200 | 201), "the policy was refused: {} {}", answer.status, answer.text());
    }

    /// Puts a policy with one connection `c` to a vendor and an app `app`; returns a key for the
    /// app.
    pub async fn simple(&self, vendor: &str, base_url: &str, more: &Value) -> String {
        let mut connection = json!({"vendor": vendor, "base_url": base_url});
        for (name, value) in more.as_object().into_iter().flatten() {
            connection[name] = value.clone();
        }
        self.policy(&json!({"connections": {"c": connection}, "apps": {"app": {}}})).await;
        self.key("app").await
    }

    /// Makes a key for an app.
    pub async fn key(&self, app: &str) -> String {
        self.make_key(&json!({"role": "app", "app": app})).await.0
    }

    /// Makes a key; returns it with its id.
    pub async fn make_key(&self, what: &Value) -> (String, String) {
        let answer = self.admin("POST", &format!("/tenants/{}/keys", self.name), Some(what)).await;
        assert_eq!(answer.status, 201, "no key for {what}: {}", answer.text());
        let made = answer.json();
        let key = made["key"].as_str().expect("a key").to_owned();
        assert!(key.starts_with("slk_"), "a key begins with slk_");
        secrets::remember(&key);
        (key, made["id"].as_str().expect("an id").to_owned())
    }

    /// Sends a request.
    pub async fn send(&self, ask: &Ask) -> Answer {
        ask.send(self.to).await
    }

    /// Sends a request and waits only for the answer's head.
    pub async fn open(&self, ask: &Ask) -> Open {
        ask.open(self.to).await.unwrap_or_else(|fault| panic!("{}: {fault}", ask.target))
    }

    /// Sends `GET /v/c{path}`.
    pub async fn get(&self, key: &str, path: &str) -> Answer {
        self.send(&Ask::get(&format!("/v/c{path}")).key(key)).await
    }

    /// Sends `GET /v/c{path}` with `Prefer: wait=0`.
    pub async fn get_now(&self, key: &str, path: &str) -> Answer {
        self.send(&Ask::get(&format!("/v/c{path}")).key(key).wait(0)).await
    }

    /// Reads `/status.json`.
    pub async fn status(&self, key: &str) -> Value {
        let answer = self.send(&Ask::get("/status.json").key(key)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Waits until the status of connection `c` is as wanted, 20 s at most.
    pub async fn until(&self, key: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let status = self.status(key).await;
            let connection = &status["connections"]["c"];
            if wanted(connection) {
                return connection.clone();
            }
            assert!(began.elapsed() < Duration::from_secs(20), "not within 20 s: {what}; {connection}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Returns the address where its instance listens.
    pub const fn to(&self) -> SocketAddr {
        self.to
    }

    /// Returns the same tenant on an instance that was restarted.
    #[must_use]
    pub fn on(&self, instance: &Instance) -> Self {
        Self::new(instance, &self.name)
    }
}

/// Returns the limit of a name in a connection's status.
pub fn limit<'a>(connection: &'a Value, name: &str) -> &'a Value {
    let limits = connection["limits"].as_array().expect("limits in the status");
    limits.iter().find(|limit| limit["name"] == name).unwrap_or_else(|| panic!("no limit {name} in {connection}"))
}
