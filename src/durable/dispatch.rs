//! Asks others for what an object needs: a Worker to carry out tasks, a pool's object to lend.

use super::tenant::TenantObject;
use crate::platform;
use crate::transport::{self, ObjectAddress};
use js_sys::Uint8Array;
use sluice_core::keys::stamp;
use sluice_core::protocol::{from_wire, to_wire};
use sluice_core::tenant::pools::PoolRequest;
use sluice_core::tenant::task::STAMP;
use std::rc::Rc;
use worker::{Headers, Method, RequestInit, Result};

impl TenantObject {
    /// Asks a pool's object.
    pub async fn borrow(self: Rc<Self>, request: PoolRequest) {
        let sent = self.objects.as_ref().and_then(|objects| {
            let address = ObjectAddress::find(objects, &request.object).ok()?;
            address.send(&address.stub(objects).ok()?, &to_wire(&request.ask), false).ok()
        });
        let reply = match sent {
            Some(sent) => transport::reply(sent).await.ok().and_then(|reply| from_wire(&reply)),
            None => None,
        };
        self.event(|tenant, _, host| tenant.lent(&request, reply, host));
    }

    /// Hands tasks over, one after another, until there are none. Several of these run at once.
    pub async fn hand_over(self: Rc<Self>) {
        while let Some(task) = self.event(|tenant, _, host| tenant.next_task(host)).flatten() {
            let (body, now) = (to_wire(&task), platform::now());
            let stamp = self.settings.as_ref().map(|settings| stamp(&settings.master, now, &body)).unwrap_or_default();
            match self.post(&stamp, &body).await.unwrap_or(0) {
                // Taken; or nobody can say, and then the task's own report will, or the want of
                // one.
                0 | 202 => {}
                _ => {
                    self.event(|tenant, _, host| tenant.task_refused(task, host));
                }
            }
        }
        let mut memory = self.memory.borrow_mut();
        memory.handing = memory.handing.saturating_sub(1);
    }

    /// Posts a task to this same Worker, and returns the status with which it is taken. The answer's
    /// body ends with the task, and is held until then: the platform lets a Worker run while somebody waits
    /// for its answer, and 30 s more.
    async fn post(&self, stamp: &str, body: &[u8]) -> Result<u16> {
        let this_worker = self.this_worker.as_ref().ok_or("the Worker has no binding to itself")?;
        let headers = Headers::new();
        headers.set(STAMP, stamp)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_headers(headers).with_body(Some(Uint8Array::from(body).into()));
        let mut response = this_worker.fetch("http://sluice/", Some(init)).await?;
        let status = response.status_code();
        platform::spawn(async move {
            let _ = response.bytes().await;
        });
        Ok(status)
    }
}
