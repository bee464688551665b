//! [`Switch`]: puts a store out of order, and in order again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tower_jwt_auth::store::StoreError;

use crate::remote::Fault;

#[derive(Debug, Clone, Default)]
pub struct Switch(Arc<Mutex<Option<Fault>>>);

// === impl Switch ===

impl Switch {
    pub fn set(&self, fault: Option<Fault>) {
        *self.0.lock().unwrap() = fault;
    }

    /// Passes when a store in this state would answer, or fails like it.
    pub async fn pass(&self) -> Result<(), StoreError> {
        let fault = *self.0.lock().unwrap();
        match fault {
            Some(Fault::Silent) => std::future::pending().await,
            Some(Fault::Slow) => tokio::time::sleep(Duration::from_millis(20)).await,
            None => {}
            Some(_) => return Err(StoreError::new("connection refused")),
        }
        Ok(())
    }
}
