//! The service: orders in memory, each visible to the subject that owns it.

use std::collections::HashMap;
use std::pin::Pin;

use futures_util::Stream;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};
use tower_jwt_auth::{Require, VerifiedToken};

use crate::auth::{caller, check, until_ended};
use crate::proto::orders_server;
use crate::proto::{CancelRequest, GetRequest, Order, OrderStatus, WatchRequest};

/// All orders by their id. Whoever watches an order sees each change through its channel.
pub(crate) struct Orders {
    orders: HashMap<String, watch::Sender<Order>>,
    may_cancel: Require,
}

impl Orders {
    /// Creates order 1, which belongs to alice, and order 2, which belongs to bob.
    pub(crate) fn with_samples() -> Self {
        let orders = [("1", "alice"), ("2", "bob")].map(|(id, owner)| {
            let order = Order {
                id: id.into(),
                owner: owner.into(),
                status: OrderStatus::Placed.into(),
            };
            (id.to_owned(), watch::Sender::new(order))
        });
        Self {
            orders: HashMap::from(orders),
            may_cancel: Require::scope("orders:write"),
        }
    }

    /// Finds an order of the caller. The order of somebody else looks like one that does not exist.
    fn find(&self, id: &str, token: &VerifiedToken) -> Result<&watch::Sender<Order>, Status> {
        self.orders
            .get(id)
            .filter(|order| token.subject() == Some(&*order.borrow().owner))
            .ok_or_else(|| Status::not_found("You have no order with this id."))
    }
}

#[tonic::async_trait]
impl orders_server::Orders for Orders {
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Order>, Status> {
        let order = self.find(&request.get_ref().id, caller(&request)?)?;
        Ok(Response::new(order.borrow().clone()))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<Order, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let token = caller(&request)?;
        let order = self.find(&request.get_ref().id, token)?;
        let changes = WatchStream::new(order.subscribe());
        Ok(Response::new(Box::pin(until_ended(token, changes))))
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<Order>, Status> {
        let token = caller(&request)?;
        check(token, &self.may_cancel)?;
        let order = self.find(&request.get_ref().id, token)?;
        order.send_modify(|order| order.set_status(OrderStatus::Cancelled));
        Ok(Response::new(order.borrow().clone()))
    }
}
